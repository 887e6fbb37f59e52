public import Base

/// An error while decoding compressed bytes.
public typealias CodecError = Failure<CodecErrorCode>

/// The kinds of ``CodecError``.
public enum CodecErrorCode: Hashable, Sendable {
    /// The bytes do not match the codec or their checksum.
    case corrupt
    /// The compressed stream is truncated.
    case truncated
    /// Valid data that the codec does not accept, such as a zstd window over the memory limit or a preset dictionary.
    case unsupported
    /// Valid data in a zstd frame that is too long to decode for a part of it.
    case undivided
    /// A failed allocation of the codec's own memory.
    case outOfMemory
}
