/// What decoding from within a DEFLATE stream needs to know, beside the bytes from there on and those before.
///
/// A block begins at any bit. The byte that holds the end of one block and the beginning of the next lies in front of the place:
/// its upper bits belong behind it.
public struct DeflateRestart: Sendable, Equatable {
    /// How many bits of the byte in front begin the block: 0 to 7.
    public let bitCount: UInt8
    /// These bits, the first one lowest.
    public let bits: UInt8

    /// `nil` when there are more than seven bits, or `bits` has more than it may.
    public init?(bitCount: UInt8, bits: UInt8) {
        guard bitCount < 8, UInt16(bits) < 1 << UInt16(bitCount) else { return nil }
        self.bitCount = bitCount
        self.bits = bits
    }

    init(bitCount: UInt8, following byte: UInt8) {
        self.bitCount = bitCount & 7
        bits = self.bitCount == 0 ? 0 : byte >> (8 - self.bitCount)
    }

    /// The start of a stream.
    static let start = DeflateRestart(bitCount: 0, following: 0)

    /// The furthest that a stream refers back, in bytes (RFC 1951 §2).
    public static let windowSize = 32 << 10
}
