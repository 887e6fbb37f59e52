public import Base

/// An error while decoding compressed bytes.
public struct CodecError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// The bytes do not match the codec or their checksum.
        case corrupt
        /// The compressed stream is truncated.
        case truncated
        /// Valid, but it needs more memory than allowed: a zstd window over the limit, or a preset dictionary.
        case unsupported
        /// Valid, but in one piece that is too large to decode for a part of it.
        case undivided
        /// Failed to allocate the decoder's own memory.
        case outOfMemory
    }

    public let code: Code
    public let message: String
    public var cause: (any Error)? { nil }

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
