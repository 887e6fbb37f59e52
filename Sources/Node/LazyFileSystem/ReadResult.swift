public import ContentStore

/// How a read ended.
public enum ReadResult: Sendable {
    /// So many bytes of the buffer are filled; fewer than asked only at the end of the file.
    case bytes(Int)
    /// Something of it is not in the store: hand this to ``LazyFileSystem/demand(_:completion:)``, then read again.
    case missing(Miss)
    case failed(LazyFileSystemError)
}

/// The chunks that a read lacks.
public struct Miss: Sendable {
    /// The layer, kept alive for as long as the read waits.
    public let layer: StoredLayer
    /// From the first missing chunk to the last chunk that the read needs; some between may be present.
    public let chunks: Range<Int>
    /// Whether they were present, but the disk did not give them back: a second time is a failure.
    let afterReadError: Bool
}

extension Miss: CustomStringConvertible {
    public var description: String { "chunks \(chunks) of layer \(layer.digest)" }
}
