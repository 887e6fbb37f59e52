/// The 512-byte header of a tar entry (POSIX.1-2017, pax, "ustar Interchange Format"; GNU's base-256 numbers).
public struct TarHeader: Sendable, Equatable {
    /// Bytes in a header, and the unit to which payloads are padded.
    public static let blockSize = 512

    /// The name field up to its first NUL, without the prefix field.
    public let name: [UInt8]
    /// The type flag; NUL in old archives is an ordinary file, like `0`.
    public let type: UInt8
    /// Bytes of payload after the header.
    public let size: UInt64

    /// - Throws: ``CodecError/Code/truncated`` when there are fewer than 512 bytes, ``CodecError/Code/corrupt`` when they
    ///   are not a tar header.
    public init(_ block: UnsafeRawBufferPointer) throws(CodecError) {
        guard block.count >= Self.blockSize else { throw CodecError(.truncated, "a tar header is cut short") }
        var sum: UInt64 = 0
        for (offset, byte) in block.prefix(Self.blockSize).enumerated() {
            // The checksum field itself counts as spaces.
            sum += (148..<156).contains(offset) ? 0x20 : UInt64(byte)
        }
        guard let checksum = Self.number(block[148..<156]), checksum == sum else {
            throw CodecError(.corrupt, "a tar header has a wrong checksum")
        }
        guard let size = Self.number(block[124..<136]), size <= UInt64(Int64.max) else {
            throw CodecError(.corrupt, "a tar header has no valid size")
        }
        name = Array(block[0..<100].prefix { $0 != 0 })
        type = block[156]
        self.size = size
    }

    /// Octal digits, with spaces before and a space or NUL after them; or a big-endian number whose first bit is set.
    private static func number(_ field: Slice<UnsafeRawBufferPointer>) -> UInt64? {
        if let first = field.first, first & 0x80 != 0 {
            var value = UInt64(first & 0x7f)
            for byte in field.dropFirst() {
                guard value >> 56 == 0 else { return nil }
                value = value << 8 | UInt64(byte)
            }
            return value
        }
        let digits = field.drop { $0 == 0x20 }.prefix { $0 != 0x20 && $0 != 0 }
        var value: UInt64 = 0
        for byte in digits {
            guard (0x30...0x37).contains(byte) else { return nil }
            value = value << 3 | UInt64(byte & 7)
        }
        return value
    }
}
