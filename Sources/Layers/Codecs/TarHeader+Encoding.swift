extension TarHeader {
    /// Returns the ustar header block of a regular file with user 0, group 0 and modification time 0.
    ///
    /// - Parameters:
    ///   - name: the file's name, cut off after 100 bytes.
    ///   - size: the file's size in bytes, less than 8 GiB.
    ///   - mode: the permission bits.
    public static func block(name: [UInt8], size: UInt64, mode: UInt32) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: blockSize)
        func put(_ bytes: some Collection<UInt8>, at offset: Int) {
            for (index, byte) in bytes.enumerated() { block[offset + index] = byte }
        }
        func octal(_ value: UInt64, digits: Int) -> [UInt8] {
            let text = String(value, radix: 8)
            return Array((String(repeating: "0", count: max(0, digits - text.count)) + text).utf8)
        }
        put(name.prefix(100), at: 0)
        put(octal(UInt64(mode), digits: 7), at: 100)
        put(octal(0, digits: 7), at: 108)
        put(octal(0, digits: 7), at: 116)
        put(octal(size, digits: 11), at: 124)
        put(octal(0, digits: 11), at: 136)
        block[156] = UInt8(ascii: "0")
        put("ustar\0".utf8, at: 257)
        put("00".utf8, at: 263)
        // The checksum is the sum of all bytes, with spaces in the checksum field.
        put("        ".utf8, at: 148)
        let sum = block.reduce(0 as UInt64) { $0 + UInt64($1) }
        put(octal(sum, digits: 6) + [0, 0x20], at: 148)
        return block
    }
}
