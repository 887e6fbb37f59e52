public import ContentStore

/// The result of a read.
public enum ReadResult: Sendable {
    /// The number of bytes in the buffer. It is less than requested only at the end of the file.
    case bytes(Int)
    /// Chunks are missing. Pass the miss to ``LazyFileSystem/demand(_:completion:)``, then read again.
    case missing(Miss)
    case failed(LazyFileSystemError)
}

/// The chunks that a read lacks.
public struct Miss: Sendable {
    /// The layer, which stays alive while the read waits.
    public let layer: StoredLayer
    /// The range from the first missing chunk to the last chunk that the read needs. Some chunks within the range may
    /// be present.
    public let chunks: Range<Int>
    /// True if the chunks were present but unreadable on disk. If they are unreadable again, the read fails.
    let afterReadError: Bool
}

extension Miss: CustomStringConvertible {
    public var description: String { "chunks \(chunks) of layer \(layer.digest)" }
}
