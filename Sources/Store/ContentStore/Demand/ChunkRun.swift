/// Consecutive chunks of one layer.
public struct ChunkRun: Sendable {
    public let layer: StoredLayer
    /// The chunks' numbers in the layer's chunk table.
    public let chunks: Range<Int>

    public init(layer: StoredLayer, chunks: Range<Int>) {
        self.layer = layer
        self.chunks = chunks
    }
}
