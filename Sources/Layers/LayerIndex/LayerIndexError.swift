public import Base

/// What can be wrong with a layer's description, or with the bytes of an index.
public struct LayerIndexError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// A path has no meaning: a NUL byte, a name that is too long, a whiteout of nothing.
        case invalidPath
        /// An entry lies below something that is not a directory.
        case notADirectory
        /// An entry contradicts itself: pieces that do not cover the file, an impossible time or device number.
        case invalidEntry
        /// A hard link to nothing, to a directory, or in a circle.
        case badHardLink
        /// The content cannot be streamed in one pass: an extent's chunks do not lie together, chunks overlap.
        case unordered
        /// Larger than the limits allow, or than the format can say.
        case limit
        /// An index written by something else, or by another version.
        case foreign
        /// The bytes of an index contradict themselves or their checksum.
        case corrupt
    }

    public let code: Code
    public let message: String
    public let cause: (any Error)?

    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }
}
