import Base
import Concurrency
import ContentStore
import LayerIndex
import LazyFileSystem
import Logging
import NIOPosix
import NodeDatabase
import Streaming

/// The recorder of profiles. It watches which file ranges a container reads during its start. It then stores these
/// ranges as the profile of the container's image.
final class StartRecorder: Sendable {
    private let records: ProfileRecords
    private let engine: StreamingEngine
    private let workers: NIOThreadPool
    private let policy: ProfilePolicy
    private let clock: any TimeSource
    private let logger: Logger
    private let watching = Guarded<[ChainKey: Task<Void, Never>]>([:])
    /// The manifest digests of images, by the chain key of the image's root file system. Only images with a known
    /// manifest digest are included.
    private let images = Guarded<[ChainKey: Digest]>([:])
    /// The chains with at least one reported start (``ProfilePolicy/report``).
    private let reported = Guarded<Set<ChainKey>>([])

    init(
        records: ProfileRecords, engine: StreamingEngine, workers: NIOThreadPool, policy: ProfilePolicy,
        clock: any TimeSource, logger: Logger
    ) {
        self.records = records
        self.engine = engine
        self.workers = workers
        self.policy = policy
        self.clock = clock
        self.logger = logger
    }

    /// Begins to watch the reads of `chain`. Stores the profile when the container's start is over.
    ///
    /// - Parameters:
    ///   - known: the profile from earlier starts; `nil` if there is none.
    ///   - replayed: the chunks that were prefetched because of `known`.
    func begin(_ chain: MountedChain, known: Profile?, replayed: [ChunkRun]) {
        guard policy.records else { return }
        let task = Task { [self] in
            guard await isQuiet(chain.touches) else { return }
            // Once the entry is removed, nothing can cancel the task. A task that was canceled before removes no entry:
            // its own is already gone or was replaced by that of another task.
            watching.withLock { if !Task.isCancelled { $0[chain.key] = nil } }
            _ = try? await workers.runIfActive { [self] in finish(chain, known: known, replayed: replayed) }
        }
        watching.withLock { $0.updateValue(task, forKey: chain.key)?.cancel() }
    }

    /// Records that `chain` is the root file system of the image with this manifest digest.
    func note(_ chain: ChainKey, isOf manifest: Digest) {
        if policy.report != nil { images.withLock { $0[chain] = manifest } }
    }

    /// Stops watching a chain. If the container's start is not over, discards the recorded reads, because they are too
    /// few for a profile.
    func end(_ chain: ChainKey) {
        watching.withLock { $0.removeValue(forKey: chain)?.cancel() }
        images.withLock { $0[chain] = nil }
        reported.withLock { _ = $0.remove(chain) }
    }

    /// Waits until the start of a container is over. The start is over when the container has read no new chunk for the
    /// time ``ProfilePolicy/quiet``, or when ``ProfilePolicy/longest`` has passed since the container's first read.
    ///
    /// - Parameter log: the log of the container's reads. While the log is empty, the function keeps waiting.
    /// - Returns: true when the start is over; false if the task is canceled before that.
    private func isQuiet(_ log: TouchLog) async -> Bool {
        var first: MonotonicTime?
        while true {
            guard (try? await clock.sleep(for: policy.quiet / 4)) != nil else { return false }
            guard let last = log.lastTouch else { continue }
            let now = clock.now
            first = first ?? now
            if last.duration(to: now) >= policy.quiet || (first ?? now).duration(to: now) >= policy.longest {
                return true
            }
        }
    }

    private func finish(_ chain: MountedChain, known: Profile?, replayed: [ChunkRun]) {
        let last = chain.touches.lastTouch ?? chain.time
        let duration = last >= chain.time ? last.since(chain.time) : 0
        logger.info(
            "start finished",
            metadata: [
                "chain": "\(chain.claim)", "repository": "\(chain.repository)",
                // The time from the mount to the latest first read of a chunk.
                "milliseconds": "\(duration / 1_000_000)",
            ].merging(StartReport(engine.statistics(of: chain.layers), engine.snapshot()).metadata) { own, _ in own })
        let recorded = Profile(chain.touches.close(), of: chain.tree)
        let profile = known?.merged(with: recorded) ?? recorded
        let read = Set(recorded.pieces(in: chain.tree, chain.layers).flatMap(ChunkName.all))
        let unread = replayed.flatMap(ChunkName.all).filter { !read.contains($0) }
        do {
            try records.keep(KeptProfile(chain: chain.claim, repository: chain.repository, profile: profile))
            logger.info(
                "profile recorded",
                metadata: [
                    "chain": "\(chain.claim)", "repository": "\(chain.repository)",
                    "entries": "\(profile.entries.count)", "read": "\(recorded.byteCount)",
                    "replayed_unread": "\(unread.reduce(0) { $0 &+ $1.bytes })",
                ])
            report(chain, recorded: recorded, known: known)
        } catch {
            logger.warning("failed to store a profile", metadata: ["chain": "\(chain.claim)", "error": "\(error)"])
        }
    }

    /// Reports a recorded start if it is the first one since the image was mounted. Reports a later start only if
    /// `known` lacks at least 5 % of the bytes that this start read.
    private func report(_ chain: MountedChain, recorded: Profile, known: Profile?) {
        guard let report = policy.report, let manifest = images.withLock({ $0[chain.key] }) else { return }
        let isFirst = reported.withLock { $0.insert(chain.key).inserted }
        let new = recorded.byteCount(missingIn: known ?? Profile(entries: []))
        guard isFirst || new * 20 >= recorded.byteCount else { return }
        report(
            ReportedProfile(
                manifest: manifest,
                file: ProfileFile(repository: chain.repository, chain: chain.claim, profile: recorded)))
    }

    private struct ChunkName: Hashable {
        let layer: Digest
        let chunk: Int
        /// The chunk's decoded size in bytes.
        let bytes: UInt64

        static func all(of run: ChunkRun) -> [ChunkName] {
            run.chunks.map {
                ChunkName(layer: run.layer.digest, chunk: $0, bytes: run.layer.chunks.chunk($0).content.count)
            }
        }
    }
}
