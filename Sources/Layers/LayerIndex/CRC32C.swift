import Base

/// CRC-32C (Castagnoli), reflected, eight bytes a step: the checksum of EROFS superblocks and of our own formats.
public enum CRC32C {
    /// Eight tables of 256 words: `table[k * 256 + b]` is the effect of byte `b` followed by `k` zero bytes.
    private static let table: [UInt32] = {
        var table = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 {
                value = value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82F6_3B78
            }
            table[byte] = value
        }
        for slice in 1..<8 {
            for byte in 0..<256 {
                let previous = table[(slice - 1) * 256 + byte]
                table[slice * 256 + byte] = previous >> 8 ^ table[Int(previous & 0xFF)]
            }
        }
        return table
    }()

    /// Returns the state of a checksum after `bytes`. `state` is the state before, which is all ones at the start. The
    /// final state is not inverted, because EROFS stores the raw state.
    static func update(_ state: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        table.withUnsafeBufferPointer { table in
            var state = state
            var position = 0
            while let word = bytes.littleEndian(UInt64.self, at: position) {
                let mixed = word ^ UInt64(state)
                // Each index is below 8 * 256 by its mask and its constant.
                let low =
                    table[1792 + Int(mixed & 0xFF)] ^ table[1536 + Int(mixed >> 8 & 0xFF)]
                    ^ table[1280 + Int(mixed >> 16 & 0xFF)] ^ table[1024 + Int(mixed >> 24 & 0xFF)]
                let high =
                    table[768 + Int(mixed >> 32 & 0xFF)] ^ table[512 + Int(mixed >> 40 & 0xFF)]
                    ^ table[256 + Int(mixed >> 48 & 0xFF)] ^ table[Int(mixed >> 56)]
                state = low ^ high
                position += 8
            }
            while position < bytes.count {
                state = state >> 8 ^ table[Int(UInt8(truncatingIfNeeded: state) ^ bytes[position])]
                position += 1
            }
            return state
        }
    }

    /// Returns the checksum of `bytes` (RFC 3720, appendix B.4).
    public static func checksum(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.withUnsafeBytes { update(.max, $0) }
    }
}
