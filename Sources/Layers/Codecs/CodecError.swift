public import Base

/// An error while decoding compressed bytes.
public typealias CodecError = Failure<CodecErrorCode>

/// The kinds of ``CodecError``.
public enum CodecErrorCode: Hashable, Sendable {
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
