public import Base

/// The end of a zstd:chunked blob: a skippable frame that locates the table of contents. There are two dialects. Both
/// begin in the same way:
///
/// ```
///  0  offset of the table of contents in the blob u64      8  compressed size u64     16  decompressed size u64
/// 24  kind u64 (always 1)
///
///     Rest of a footer of 40 bytes (stargz-snapshotter; containers/storage until 2023-06):
/// 32  "GnUlInUx"
///
///     Rest of a footer of 64 bytes (containers/storage since 2023-08-30):
/// 32  offset of the tar-split data in the blob u64       40  compressed size u64     48  decompressed size u64
/// 56  "GNUlInUx"
/// ```
///
/// All numbers are little-endian, and all sizes are in bytes (stargz-snapshotter, estargz/zstdchunked;
/// containers/storage, pkg/chunked/internal/minimal).
///
/// Between these two dates, containers/storage wrote footers of 56 bytes. It cannot read them itself, and this parser
/// does not accept them.
public struct ZstdChunkedFooter: Equatable, Sendable {
    /// The size of the longest footer in bytes, including the header of its frame.
    public static let maximumSize = 72
    private static let magics: [(size: Int, magic: [UInt8])] = [
        (64, Array("GNUlInUx".utf8)), (40, Array("GnUlInUx".utf8)),
    ]

    /// The range of the compressed table of contents in the blob, without the header of the skippable frame around it.
    public let toc: ByteRange
    /// The size in bytes of the decompressed table of contents.
    public let tocSize: UInt64

    /// Parses the footer at the end of `tail`, the last bytes of a blob; `nil` if there is none. The caller must check
    /// the offsets and sizes against the blob's size.
    public init?(tail: UnsafeRawBufferPointer) {
        for (size, magic) in Self.magics {
            let whole = size + SkippableFrame.headerSize
            guard tail.count >= whole else { continue }
            let frame = UnsafeRawBufferPointer(rebasing: tail[(tail.count - whole)...])
            let payload = UnsafeRawBufferPointer(rebasing: frame[SkippableFrame.headerSize...])
            guard frame.starts(with: SkippableFrame.header(size)), payload[(size - 8)...].elementsEqual(magic),
                payload.littleEndian(UInt64.self, at: 24) == 1,
                let offset = payload.littleEndian(UInt64.self, at: 0),
                let count = payload.littleEndian(UInt64.self, at: 8),
                let toc = ByteRange(offset: offset, count: count),
                let tocSize = payload.littleEndian(UInt64.self, at: 16)
            else { continue }
            self.toc = toc
            self.tocSize = tocSize
            return
        }
        return nil
    }

    /// Returns the frame of a footer in stargz-snapshotter's dialect.
    public static func frame(toc: ByteRange, tocSize: UInt64) -> [UInt8] {
        var payload: [UInt8] = []
        for value in [toc.offset, toc.count, tocSize, 1] { payload.appendLittleEndian(value) }
        return SkippableFrame.frame(payload + Array("GnUlInUx".utf8))
    }
}

/// A frame that a zstd decoder skips (RFC 8878 §3.1.2). Of the sixteen magic numbers, this type uses the first.
public enum SkippableFrame {
    /// The size of a frame's header in bytes.
    public static let headerSize = 8

    static func header(_ size: Int) -> [UInt8] {
        var header: [UInt8] = []
        header.appendLittleEndian(0x184D_2A50 as UInt32)
        header.appendLittleEndian(UInt32(truncatingIfNeeded: size))
        return header
    }

    /// Returns a skippable frame with `payload`, which must be smaller than 4 GiB.
    public static func frame(_ payload: [UInt8]) -> [UInt8] { header(payload.count) + payload }
}
