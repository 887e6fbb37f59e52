/// Why scanning stopped before the end of what was looked for.
enum JSONStop: Error {
    /// The window ended: more text may make it valid.
    case needMore
    /// No text after this can make it valid.
    case malformed(StaticString)
}

/// A string of the JSON text, without its quotes: where its bytes lie once escapes are undone.
struct JSONString {
    /// In the window, or in the cursor's scratch space when it has escapes.
    var offset: Int
    var count: Int
    var isUnescaped: Bool
    /// Whether there is anything but ASCII in it; then it has been checked to be UTF-8.
    var hasMultibyte: Bool
}

/// Reads JSON (RFC 8259) from a window of text, without making anything of it.
///
/// The one unsafe kernel of this module: it reads through a pointer with no bounds check a byte. What makes that safe is
/// the window's owner, who promises ``padding`` zero bytes after its end: no token goes on across a zero byte, so
/// every loop here stops at the first of them, and the eight-byte loads stay within the padding.
struct JSONCursor {
    /// Readable zero bytes that must follow a window.
    static let padding = 16
    /// Arrays and objects inside each other, in values that are only passed over.
    private static let nesting = 64

    let start: UnsafePointer<UInt8>
    let end: UnsafePointer<UInt8>
    var here: UnsafePointer<UInt8>
    /// Strings with their escapes undone. Offsets into it stay valid until the next entry.
    var scratch: [UInt8] = []

    /// - Parameter window: Text, followed by ``padding`` zero bytes that are not counted.
    init(start: UnsafePointer<UInt8>, count: Int, at position: Int, scratch: [UInt8]) {
        self.start = start
        end = start + count
        here = start + position
        self.scratch = scratch
    }

    var position: Int { here - start }

    /// Malformed, unless what is missing may still come.
    @inline(never)
    func stop(_ reason: StaticString) -> JSONStop {
        here >= end ? .needMore : .malformed(reason)
    }

    @inline(__always)
    mutating func skipSpace() {
        while here.pointee <= 0x20 {
            switch here.pointee {
            case 0x20, 0x0a, 0x09, 0x0d: here += 1
            default: return
            }
        }
    }

    /// Passes over `byte`.
    @inline(__always)
    mutating func expect(_ byte: UInt8, _ reason: StaticString) throws(JSONStop) {
        guard here.pointee == byte else { throw stop(reason) }
        here += 1
    }

    /// Whether the next byte is `byte`; then it is passed over.
    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        guard here.pointee == byte else { return false }
        here += 1
        return true
    }

    /// Whether `null` comes next; then it is passed over.
    @inline(__always)
    mutating func takeNull() throws(JSONStop) -> Bool {
        guard here.pointee == 0x6e else { return false }
        try literal("null")
        return true
    }

    private mutating func literal(_ text: StaticString) throws(JSONStop) {
        for index in 0..<text.utf8CodeUnitCount {
            guard here.pointee == text.utf8Start[index] else { throw stop("an unknown word") }
            here += 1
        }
    }

    /// A whole number that is not negative and at most `limit`.
    @inline(__always)
    mutating func number(limit: UInt64) throws(JSONStop) -> UInt64 {
        let first = here
        var value: UInt64 = 0
        while true {
            let digit = here.pointee &- 0x30
            guard digit < 10 else { break }
            // 18 digits cannot overflow; longer ones are looked at below.
            value = value &* 10 &+ UInt64(digit)
            here += 1
        }
        let count = here - first
        guard count > 0, count <= 18, count == 1 || first.pointee != 0x30, value <= limit else {
            if here >= end { throw .needMore }
            throw .malformed("a number that is negative, too large or no number")
        }
        switch here.pointee {
        case 0x2e, 0x65, 0x45: throw .malformed("a number that is not whole")
        case 0: throw stop("a NUL byte")
        default: return value
        }
    }

    /// A string, from its opening quote on.
    @inline(__always)
    mutating func string() throws(JSONStop) -> JSONString {
        try expect(0x22, "something else where a string was expected")
        let first = here
        var multibyte: UInt64 = 0
        while true {
            let word = UnsafeRawPointer(here).loadUnaligned(as: UInt64.self).littleEndian
            // The lowest set top bit of each mask stands at the first byte that is a quote, a backslash, a control
            // character, or not ASCII; those above it may be false.
            let quote = Self.zeroBytes(word ^ 0x2222_2222_2222_2222)
            let backslash = Self.zeroBytes(word ^ 0x5c5c_5c5c_5c5c_5c5c)
            let control = (word &- 0x2020_2020_2020_2020) & ~word & Self.topBits
            let special = quote | backslash | control
            guard special != 0 else {
                multibyte |= word & Self.topBits
                here += 8
                continue
            }
            let lowest = special & (0 &- special)
            multibyte |= word & (lowest &- 1) & Self.topBits
            here += special.trailingZeroBitCount >> 3
            break
        }
        // The padding is made of control characters, so this is the first of them at the latest.
        guard here.pointee == 0x22 else {
            guard here.pointee == 0x5c else { throw stop("a control character in a string") }
            return try escapedString(from: first)
        }
        let text = JSONString(
            offset: first - start, count: here - first, isUnescaped: false, hasMultibyte: multibyte != 0)
        if multibyte != 0 {
            try checkUTF8(UnsafeBufferPointer(start: first, count: here - first))
        }
        here += 1
        return text
    }

    private static let topBits: UInt64 = 0x8080_8080_8080_8080

    @inline(__always)
    private static func zeroBytes(_ word: UInt64) -> UInt64 {
        (word &- 0x0101_0101_0101_0101) & ~word & topBits
    }

    /// The bytes of a string of this window.
    @inline(__always)
    func withBytes<Result, Failure: Error>(
        of text: JSONString, _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        guard text.isUnescaped else {
            return try body(UnsafeBufferPointer(start: start + text.offset, count: text.count))
        }
        return try scratch[text.offset..<text.offset + text.count].withUnsafeBufferPointer(body)
    }

    /// Passes over a value of any kind, checking that it is one.
    mutating func skipValue(depth: Int = 0) throws(JSONStop) {
        guard depth < Self.nesting else { throw .malformed("values nested too deeply") }
        switch here.pointee {
        case 0x22: _ = try string()
        case 0x7b: try skipObject(depth)
        case 0x5b: try skipArray(depth)
        case 0x74: try literal("true")
        case 0x66: try literal("false")
        case 0x6e: try literal("null")
        default: try skipNumber()
        }
    }

    private mutating func skipObject(_ depth: Int) throws(JSONStop) {
        here += 1
        skipSpace()
        if take(0x7d) { return }
        while true {
            skipSpace()
            _ = try string()
            skipSpace()
            try expect(0x3a, "a key without a value")
            skipSpace()
            try skipValue(depth: depth + 1)
            skipSpace()
            if take(0x7d) { return }
            try expect(0x2c, "an object that does not end")
        }
    }

    private mutating func skipArray(_ depth: Int) throws(JSONStop) {
        here += 1
        skipSpace()
        if take(0x5d) { return }
        while true {
            skipSpace()
            try skipValue(depth: depth + 1)
            skipSpace()
            if take(0x5d) { return }
            try expect(0x2c, "an array that does not end")
        }
    }

    private mutating func skipNumber() throws(JSONStop) {
        _ = take(0x2d)
        if take(0x30) {
            // Nothing may follow a leading zero but a fraction or an exponent.
        } else {
            try skipDigits()
        }
        if take(0x2e) { try skipDigits() }
        if here.pointee | 0x20 == 0x65 {
            here += 1
            if here.pointee == 0x2b || here.pointee == 0x2d { here += 1 }
            try skipDigits()
        }
        // The digits may go on in what follows the window.
        if here >= end { throw .needMore }
    }

    private mutating func skipDigits() throws(JSONStop) {
        guard here.pointee &- 0x30 < 10 else { throw stop("something that is no JSON value") }
        while here.pointee &- 0x30 < 10 { here += 1 }
    }
}
