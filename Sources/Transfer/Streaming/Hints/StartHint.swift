public import ContentStore
import LayerIndex
public import Planner

/// The chunks that a container is expected to read until it is ready, and the source of this expectation.
///
/// ``StreamingEngine/prefetch(_:)`` accepts hints from every source, and ranks them by ``HintSource``.
public struct StartHint: Sendable {
    /// The content of a hint.
    enum Content: Sendable {
        /// Chunks in the order of their first use.
        case runs([ChunkRun])
        /// A startup pack (one blob with chunks of several layers), and all layers of the image. The pack itself lists
        /// its chunks.
        case pack(PackRequest, layers: [StoredLayer])
    }

    public let source: HintSource
    let content: Content

    /// Creates a hint from chunks in the order of their first use. The chunks' layers must be attached.
    public init(_ source: HintSource, runs: [ChunkRun]) {
        self.source = source
        content = .runs(runs)
    }

    /// Creates a hint from a startup pack. `layers` are the image's layers, which must be attached. The engine ignores
    /// the pack's chunks of other layers.
    public init(_ source: HintSource, pack: PackRequest, layers: [StoredLayer]) {
        self.source = source
        content = .pack(pack, layers: layers)
    }

    /// Creates a hint from the chunks that the layers' author marked with the eStargz prefetch landmark. The chunks are
    /// in the order of `layers`.
    public init(landmarksOf layers: [StoredLayer]) {
        let runs = layers.compactMap { layer -> ChunkRun? in
            guard case .blobPrefix(let end) = layer.chunks.prefetch else { return nil }
            let extents = LayerMap(content: layer).extents(before: end)
            guard let last = extents.last else { return nil }
            return ChunkRun(layer: layer, chunks: 0..<layer.chunks.extent(last).chunks.upperBound)
        }
        self.init(.landmark, runs: runs)
    }
}
