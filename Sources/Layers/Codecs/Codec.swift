/// The encoding of an extent, the smallest decodable piece of a blob.
public enum Codec: UInt8, Hashable, Sendable {
    /// No compression.
    case raw = 0
    /// Gzip members, one after the other (RFC 1952).
    case gzip = 1
    /// Zstandard frames, one after the other (RFC 8878).
    case zstd = 2
    /// A part of a DEFLATE stream (RFC 1951). It begins at the start of a block, which need not be the stream's first.
    /// See ``DeflateRestart``.
    case deflate = 3
}

extension Codec {
    /// Detects the compression of a blob from the magic number in its first four bytes (RFC 1952 §2.3.1; RFC 8878
    /// §3.1.1 and §3.1.2, skippable frames). If there is no known magic number, the result is ``raw``.
    public init(startOf bytes: some Collection<UInt8>) {
        var magic: UInt32 = 0
        for (index, byte) in bytes.prefix(4).enumerated() { magic |= UInt32(byte) << UInt32(8 * index) }
        if magic & 0xFFFF == 0x8B1F {
            self = .gzip
        } else if magic == 0xFD2F_B528 || magic & 0xFFFF_FFF0 == 0x184D_2A50 {
            self = .zstd
        } else {
            self = .raw
        }
    }
}
