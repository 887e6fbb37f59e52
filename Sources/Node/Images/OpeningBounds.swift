import Base
import Concurrency
import LayerFormats
import LayerIndex

/// The bounds of all opening on the node: memory, permits and time. A hostile image uses up its own share, and never
/// holds up the others for long.
struct OpeningBounds: Sendable {
    /// The memory for everything that is being opened.
    let memory: OpeningBudget
    /// The permits for building and verifying indexes of layers.
    let building: AsyncSemaphore
    /// The permits for merging the trees of chains. They are separate, so that no build holds up a container.
    let merging: AsyncSemaphore
    /// The number of one image's layers that are built at the same time: fewer than there are permits.
    let buildsOfImage: Int
    /// The time that building one layer may take, without the wait for memory and for a permit.
    let buildLimit: Duration
    /// The time that merging one chain may take, likewise. It is longer, because containerd does not pull an image
    /// again whose layers it has.
    let mergeLimit: Duration
    /// The time that a registry may take to send an index, or a part of a blob with it.
    let readLimit: Duration
    let clock: any TimeSource

    init(_ options: ImageOptions, clock: any TimeSource) {
        memory = OpeningBudget(options.openingMemory)
        building = AsyncSemaphore(options.buildsAtOnce)
        merging = AsyncSemaphore(options.mergesAtOnce)
        buildsOfImage = max(1, options.buildsAtOnce - 1)
        buildLimit = options.buildLimit
        mergeLimit = options.mergeLimit
        readLimit = options.readLimit
        self.clock = clock
    }

    /// Returns the deadline of work that begins now and may take as long as `limit`.
    func deadline(_ limit: Duration) -> WorkDeadline {
        let (clock, end) = (clock, clock.now.advanced(by: limit))
        return WorkDeadline { clock.now >= end }
    }

    /// Returns the memory in bytes that the trees of a chain's layers, bottom first, take while they are merged.
    func mergeMemory(of trees: [TreeImage]) throws -> UInt64 {
        let deadline = deadline(buildLimit)
        return try trees.map { tree in
            // Most trees are so small that counting their files is not worth the time.
            let bound = ChainMerger.memoryBound(treeBytes: UInt64(tree.byteCount))
            return bound <= memory.total / 256 ? bound : try ChainMerger.memory(of: [tree], by: deadline)
        }
        .saturatingSum()
    }
}

/// The turns of one image's layers to be built.
final class ImageTurns: Sendable {
    private let turn: AsyncSemaphore
    /// True if a layer of the image took too long. No further layer is built, so that an image of a hundred such layers
    /// takes no more time than one.
    private let isTooSlow = Guarded(false)

    init(_ bounds: OpeningBounds) {
        turn = AsyncSemaphore(bounds.buildsOfImage)
    }

    /// Runs `body`, which builds a layer, when it is the layer's turn.
    ///
    /// - Throws: `limit` if another layer of the image took too long; otherwise the error of `body`.
    func withTurn<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
        try await turn.withPermit {
            guard !isTooSlow.withLock({ $0 }) else {
                throw FallbackReason(.limit, "another layer of the image took too long")
            }
            do {
                return try await body()
            } catch let error as LayerFormatError where error.code == .deadline {
                isTooSlow.withLock { $0 = true }
                throw error
            }
        }
    }
}
