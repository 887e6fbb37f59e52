public import Base

/// Why compressed bytes could not be decoded.
public struct CodecError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// The bytes are not what the codec says, or their checksum is wrong.
        case corrupt
        /// The bytes end before the data does.
        case truncated
        /// Valid, but it needs more memory than is allowed: a zstd window over the limit, or a preset dictionary.
        case unsupported
        /// Valid, but in one piece that is too large to be decoded for a part of it.
        case undivided
        /// The decoder's own memory could not be had.
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
