/// How the bytes of an extent are stored in its blob.
public enum Codec: UInt8, Hashable, Sendable {
    /// As they are.
    case raw = 0
    /// Gzip members, one after the other (RFC 1952).
    case gzip = 1
    /// Zstandard frames, one after the other (RFC 8878).
    case zstd = 2
    /// From a block of a DEFLATE stream on (RFC 1951): see ``DeflateRestart``.
    case deflate = 3
}
