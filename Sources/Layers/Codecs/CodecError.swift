public import Base

/// An error from a decoder, an encoder or the parser of tar headers.
public typealias CodecError = Failure<CodecErrorCode>

/// The kinds of ``CodecError``.
public enum CodecErrorCode: Hashable, Sendable {
    /// Bytes that are not valid for the codec, or that do not match their checksum.
    case corrupt
    /// A truncated compressed stream or tar header.
    case truncated
    /// Valid data that the codec does not accept, such as a zstd window over the memory limit or a preset dictionary.
    case unsupported
    /// A valid zstd frame that is too long to stream: to get any byte, a reader must decode the frame up to that byte.
    case undivided
    /// A failed allocation of the codec's own memory.
    case outOfMemory
}
