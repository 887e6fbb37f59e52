public import ContentStore

/// The result of a read.
public enum ReadResult: Sendable {
    /// The number of bytes in the buffer. It is less than requested only at the end of the file.
    case bytes(Int)
    /// Chunks are missing. Pass the miss to ``LazyFileSystem/demand(_:completion:)``, and read again when the
    /// completion reports that the chunks are available.
    case missing(Miss)
    case failed(LazyFileSystemError)
}

/// The chunks that a read needs and the store does not have.
public struct Miss: Sendable {
    /// The layer to which the chunks belong. It stays alive while the read waits.
    public let layer: StoredLayer
    /// The range from the first missing chunk to the last chunk that the read needs. Some chunks within the range may
    /// be present.
    public let chunks: Range<Int>
    /// True if this try of the read, or an earlier one, found chunks that were present but unreadable on disk. Such
    /// chunks are fetched again once. If a later try finds unreadable chunks again, the read fails.
    let afterReadError: Bool
}

extension Miss: CustomStringConvertible {
    public var description: String { "chunks \(chunks) of layer \(layer.digest)" }
}
