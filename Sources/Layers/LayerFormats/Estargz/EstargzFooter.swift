import Base

/// The end of an eStargz blob: an empty gzip member whose extra field says where the table of contents is
/// (stargz-snapshotter, docs/estargz.md, "Footer").
///
/// All writers produce the same bytes, except for the offset. So the parser requires these exact bytes.
public enum EstargzFooter: Equatable, Sendable {
    /// A table of contents (TOC) in the blob. It is a gzip member from offset `offset` of the blob up to the footer,
    /// which has `footerSize` bytes.
    case internalTOC(offset: UInt64, footerSize: Int)
    /// A TOC outside the blob. The footer has `footerSize` bytes.
    case externalTOC(footerSize: Int)

    /// The size of the longest footer in bytes.
    public static let maximumSize = 51

    /// Parses the footer at the end of `tail`, the last bytes of a blob; `nil` if there is none.
    ///
    /// The parser tries three kinds of footer, the longest first:
    ///
    /// - 51 bytes: eStargz.
    /// - 47 bytes: CRFS stargz. The extra field lacks the subfield header of RFC 1952 §2.3.1.1.
    /// - 46 bytes: eStargz with an external TOC.
    public init?(tail: UnsafeRawBufferPointer) {
        if let footer = Self.match(tail, extra: Array("SG\u{16}\0".utf8), hexDigits: true, magic: "STARGZ") {
            self = footer
        } else if let footer = Self.match(tail, extra: [], hexDigits: true, magic: "STARGZ") {
            self = footer
        } else if let footer = Self.match(
            tail, extra: Array("SG\u{11}\0".utf8), hexDigits: false, magic: "STARGZEXTERNALTOC")
        {
            self = footer
        } else {
            return nil
        }
    }

    /// The gzip header: deflate, an extra field, no time, no extra flags, unknown system.
    private static let head: [UInt8] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff]
    /// An empty stored block marked as the last, then the CRC and the size of empty data.
    private static let end: [UInt8] = [1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]

    /// Returns the 51-byte footer of a blob whose table of contents begins at `offset` of the blob.
    public static func bytes(tocOffset offset: UInt64) -> [UInt8] {
        let digits = String(offset, radix: 16)
        let extra =
            Array("SG\u{16}\0".utf8)
            + Array((String(repeating: "0", count: 16 - digits.count) + digits + "STARGZ").utf8)
        return head + [UInt8(extra.count), 0] + extra + end
    }

    private static func match(
        _ tail: UnsafeRawBufferPointer, extra subfield: [UInt8], hexDigits: Bool, magic: String
    ) -> EstargzFooter? {
        let extraSize = subfield.count + (hexDigits ? 16 : 0) + magic.utf8.count
        let size = head.count + 2 + extraSize + end.count
        guard tail.count >= size else { return nil }
        var rest = UnsafeRawBufferPointer(rebasing: tail[(tail.count - size)...])
        func take(_ expected: some Collection<UInt8>) -> Bool {
            guard rest.starts(with: expected) else { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[expected.count...])
            return true
        }
        guard take(head), take([UInt8(extraSize), 0]), take(subfield) else { return nil }
        var offset: UInt64 = 0
        if hexDigits {
            for character in rest.prefix(16) {
                guard let digit = Hex.value(of: character) else { return nil }
                offset = offset << 4 | UInt64(digit)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[16...])
        }
        guard take(Array(magic.utf8)), take(end) else { return nil }
        return hexDigits ? .internalTOC(offset: offset, footerSize: size) : .externalTOC(footerSize: size)
    }
}
