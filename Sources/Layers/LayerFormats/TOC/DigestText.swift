import Base

/// A parser of digests in text form: `sha256:`, followed by 64 lowercase hexadecimal digits. Each entry of a table of
/// contents has up to two digests, so the parser reads eight digits at a time for speed.
enum DigestText {
    /// Parses a digest; returns `nil` if `text` does not have the form of a digest.
    @inline(__always)
    static func parse(_ text: UnsafeBufferPointer<UInt8>) -> Digest? {
        let bytes = UnsafeRawBufferPointer(text)
        guard bytes.count == 71, bytes.loadUnaligned(as: UInt32.self).littleEndian == 0x3261_6873,
            bytes.loadUnaligned(fromByteOffset: 3, as: UInt32.self).littleEndian == 0x3a36_3532
        else { return nil }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var valid = everyTopBit
        return withUnsafeMutableBytes(of: &words) { out -> Digest? in
            for index in 0..<8 {
                let digits = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 7 + 8 * index, as: UInt64.self))
                valid &= hexadecimal(digits)
                out.storeBytes(of: value(digits).littleEndian, toByteOffset: 4 * index, as: UInt32.self)
            }
            return valid == everyTopBit ? Digest(bytes: UnsafeRawBufferPointer(out)) : nil
        }
    }

    private static let everyTopBit: UInt64 = 0x8080_8080_8080_8080

    private static func repeated(_ byte: UInt8) -> UInt64 { UInt64(byte) &* 0x0101_0101_0101_0101 }

    /// Checks eight characters at once. In the result, the top bit of a byte is set if the character at the same place
    /// in `digits` is one of `0-9a-f`. All other bits are 0.
    @inline(__always)
    private static func hexadecimal(_ digits: UInt64) -> UInt64 {
        // With the top bits cleared, no sum carries into the next byte. The top bit of a byte plus `0x80 - c` is set
        // if the byte is at least `c`.
        let ascii = digits & ~everyTopBit
        let isDigit = (ascii &+ repeated(0x80 - 0x30)) & ~(ascii &+ repeated(0x80 - 0x3a))
        let isLetter = (ascii &+ repeated(0x80 - 0x61)) & ~(ascii &+ repeated(0x80 - 0x67))
        return (isDigit | isLetter) & ~digits & everyTopBit
    }

    /// Returns the four bytes that eight hexadecimal digits encode. The first encoded byte is the lowest byte of the
    /// result.
    @inline(__always)
    private static func value(_ digits: UInt64) -> UInt32 {
        // Letters have bit 6 set. Their low four bits count from 1, so the sum adds 9 to get their value.
        let nibbles = (digits & repeated(0x0f)) &+ ((digits >> 6) & repeated(1)) &* 9
        let bytes = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff_00ff_00ff
        let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff
        return UInt32(truncatingIfNeeded: pairs | pairs >> 16)
    }
}
