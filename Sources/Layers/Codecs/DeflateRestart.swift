/// A restart point: a position in the middle of a DEFLATE stream at which decoding can begin.
///
/// The decoder also needs data that is not in this type: the compressed bytes from that point on, and the window. The
/// window is the last 32 KiB of decoded data before the point.
///
/// A block can begin at any bit. If it begins in the middle of a byte, the restart point lies after that byte. The
/// byte's upper bits are the beginning of the block, and this type contains them.
public struct DeflateRestart: Sendable, Equatable {
    /// The number of bits that decoding needs from the byte before the restart point: 0 to 7. They are the beginning of
    /// the first block.
    public let bitCount: UInt8
    /// The value of the ``bitCount`` bits before the restart point, with the first bit lowest.
    public let bits: UInt8

    /// Creates a restart point; `nil` if `bitCount` is over 7 or `bits` does not fit in `bitCount` bits.
    public init?(bitCount: UInt8, bits: UInt8) {
        guard bitCount < 8, UInt16(bits) < 1 << UInt16(bitCount) else { return nil }
        self.bitCount = bitCount
        self.bits = bits
    }

    init(bitCount: UInt8, following byte: UInt8) {
        self.bitCount = bitCount & 7
        bits = self.bitCount == 0 ? 0 : byte >> (8 - self.bitCount)
    }

    /// The restart point at the start of a stream. It needs no window.
    static let start = DeflateRestart(bitCount: 0, following: 0)

    /// The size of a complete window in bytes: the longest distance of a back-reference (RFC 1951 §2).
    public static let windowSize = 32 << 10
}
