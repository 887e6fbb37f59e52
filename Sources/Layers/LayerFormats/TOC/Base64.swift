/// Standard base64 with padding (RFC 4648 §4): the form in which Go's JSON package encodes a byte slice.
enum Base64 {
    /// Decodes `text`; returns `nil` if `text` is not valid. The unused bits of the last character before the padding
    /// must be zero. So each sequence of bytes has exactly one valid encoding.
    static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        guard !text.isEmpty else { return [] }
        let padding = text[text.count - 1] != 0x3d ? 0 : text[text.count - 2] != 0x3d ? 1 : 2
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        for start in stride(from: 0, to: text.count, by: 4) {
            let isLast = start + 4 == text.count
            var word: UInt32 = 0
            for index in 0..<4 {
                let isPadding = isLast && index >= 4 - padding
                guard let digit = isPadding ? 0 : value(text[start + index]) else { return nil }
                word = word << 6 | digit
            }
            let count = isLast ? 3 - padding : 3
            guard word << UInt32(8 + 8 * count) == 0 || count == 3 else { return nil }
            for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(16 - 8 * index))) }
        }
        return bytes
    }

    private static func value(_ character: UInt8) -> UInt32? {
        switch character {
        case 0x41...0x5a: UInt32(character) - 0x41
        case 0x61...0x7a: UInt32(character) - 0x61 + 26
        case 0x30...0x39: UInt32(character) - 0x30 + 52
        case 0x2b: 62
        case 0x2f: 63
        default: nil
        }
    }

    static func encode(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            let word = (0..<3).reduce(0 as UInt32) { $0 << 8 | ($1 < count ? UInt32(bytes[start + $1]) : 0) }
            for index in 0..<4 {
                text.append(index <= count ? alphabet[Int(word >> UInt32(18 - 6 * index)) & 63] : 0x3d)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
