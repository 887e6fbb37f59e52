extension JSONCursor {
    /// Reads the rest of a string from its first backslash, which is the next byte. Appends the content of the whole
    /// string to ``scratch``, with the escapes replaced.
    ///
    /// - Parameter first: the address of the first byte after the opening quote.
    @inline(never) @usableFromInline
    mutating func escapedString(from first: UnsafePointer<UInt8>) throws(JSONStop) -> JSONString {
        let offset = scratch.count
        scratch.append(contentsOf: UnsafeBufferPointer(start: first, count: here - first))
        while true {
            let byte = here.pointee
            switch byte {
            case 0x22:
                here += 1
                let text = JSONString(
                    offset: offset, count: scratch.count - offset, isUnescaped: true, hasMultibyte: true)
                try scratch[offset...].withUnsafeBufferPointer { (bytes) throws(JSONStop) in try checkUTF8(bytes) }
                return text
            case 0x5c:
                here += 1
                try escape()
            case 0..<0x20:
                throw stop("a control character in a string")
            default:
                scratch.append(byte)
                here += 1
            }
        }
    }

    /// Reads the rest of an escape after its backslash, and appends the character to ``scratch``.
    private mutating func escape() throws(JSONStop) {
        let byte = here.pointee
        let plain: UInt8
        switch byte {
        case 0x22, 0x5c, 0x2f: plain = byte
        case 0x62: plain = 0x08
        case 0x66: plain = 0x0c
        case 0x6e: plain = 0x0a
        case 0x72: plain = 0x0d
        case 0x74: plain = 0x09
        case 0x75:
            here += 1
            return try unicodeEscape()
        default: throw stop("an unknown escape in a string")
        }
        scratch.append(plain)
        here += 1
    }

    private mutating func unicodeEscape() throws(JSONStop) {
        var value = try hexDigits()
        if (0xdc00..<0xe000).contains(value) { throw .malformed("half a surrogate pair in a string") }
        if (0xd800..<0xdc00).contains(value) {
            try expect(0x5c, "half a surrogate pair in a string")
            try expect(0x75, "half a surrogate pair in a string")
            let low = try hexDigits()
            guard (0xdc00..<0xe000).contains(low) else { throw .malformed("half a surrogate pair in a string") }
            value = 0x10000 + (value - 0xd800) << 10 + (low - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(value) else { throw .malformed("an unknown character in a string") }
        scratch.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }

    private mutating func hexDigits() throws(JSONStop) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            let byte = here.pointee
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x41 + 10
            case 0x61...0x66: digit = byte - 0x61 + 10
            default: throw stop("a \\u escape without four digits")
            }
            value = value << 4 | UInt32(digit)
            here += 1
        }
        return value
    }

    /// Rejects bytes that are not UTF-8 (RFC 8259 §8.1).
    @usableFromInline
    func checkUTF8(_ bytes: UnsafeBufferPointer<UInt8>) throws(JSONStop) {
        do {
            _ = try UTF8Span(validating: bytes.span)
        } catch {
            throw .malformed("a string that is not UTF-8")
        }
    }
}
