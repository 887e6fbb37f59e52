/// The reason why a scan stopped before the end of the value.
public enum JSONStop: Error {
    /// The window, the part of the text in memory, ended. More text may complete the value.
    case needMore
    /// The text is invalid, whatever follows.
    case malformed(StaticString)
}

/// The location of a JSON string's content: the bytes between the quotes, with each escape replaced by its character.
/// The content is in the cursor's window, or in ``JSONCursor/scratch`` if ``isUnescaped`` is true.
public struct JSONString: Sendable {
    /// The offset of the content in the window or in ``JSONCursor/scratch``.
    public var offset: Int
    public var count: Int
    /// True if the string had escapes. The cursor then wrote the content to ``JSONCursor/scratch``.
    public var isUnescaped: Bool
    /// True if the content may have non-ASCII characters. The cursor has then checked that the content is valid UTF-8.
    public var hasMultibyte: Bool

    @inlinable
    public init(offset: Int, count: Int, isUnescaped: Bool, hasMultibyte: Bool) {
        self.offset = offset
        self.count = count
        self.isUnescaped = isUnescaped
        self.hasMultibyte = hasMultibyte
    }
}

/// A cursor that reads JSON (RFC 8259) from a window of text without building a document. A window is the part of a
/// text that is in memory.
///
/// The cursor reads through a pointer, without a bounds check per byte. This is safe, because the owner of the window
/// guarantees ``padding`` zero bytes after the window's end. No token continues across a zero byte. So every loop here
/// stops at the first zero byte, and the eight-byte loads stay within the padding. The recursive ``skipValue(depth:)``
/// accepts at most ``nesting`` levels.
public struct JSONCursor {
    /// The number of readable zero bytes that must follow a window.
    public static let padding = 16
    /// The maximum number of nesting levels in a skipped value. The value itself is the first level. The values in an
    /// array or object are one level deeper than the array or object.
    public static let nesting = 64

    /// The first byte of the window.
    public let start: UnsafePointer<UInt8>
    @usableFromInline let end: UnsafePointer<UInt8>
    @usableFromInline var here: UnsafePointer<UInt8>
    /// The contents of all strings that had escapes, with the escapes replaced. A ``JSONString`` has the offset of its
    /// content in this array. The offset stays valid until the owner of the cursor empties the array.
    public var scratch: [UInt8] = []

    /// Creates a cursor at `position` in a window.
    ///
    /// - Parameters:
    ///   - start: the window's text, followed by ``padding`` zero bytes.
    ///   - count: the number of bytes of text, without the padding.
    ///   - position: the offset of the first byte to read, from `start`.
    ///   - scratch: the initial value of ``scratch``.
    @inlinable
    public init(start: UnsafePointer<UInt8>, count: Int, at position: Int, scratch: [UInt8]) {
        self.start = start
        end = start + count
        here = start + position
        self.scratch = scratch
    }

    /// The offset of the next byte from the start of the window.
    @inlinable
    public var position: Int { here - start }

    /// The next byte; 0 at the end of the window.
    @inlinable
    public var next: UInt8 { here.pointee }

    /// Returns the error for a failed read: ``JSONStop/needMore`` at the end of the window, otherwise
    /// ``JSONStop/malformed(_:)`` with `reason`.
    @inline(never)
    public func stop(_ reason: StaticString) -> JSONStop {
        here >= end ? .needMore : .malformed(reason)
    }

    /// Skips white space.
    @inlinable @inline(__always)
    public mutating func skipSpace() {
        while here.pointee <= 0x20 {
            switch here.pointee {
            case 0x20, 0x0a, 0x09, 0x0d: here += 1
            default: return
            }
        }
    }

    /// Skips the next byte if it is `byte`. Otherwise throws the error that ``stop(_:)`` returns for `reason`.
    @inlinable @inline(__always)
    public mutating func expect(_ byte: UInt8, _ reason: StaticString) throws(JSONStop) {
        guard here.pointee == byte else { throw stop(reason) }
        here += 1
    }

    /// Skips the next byte if it is `byte`. Returns true if it skipped the byte.
    @inlinable @inline(__always)
    public mutating func take(_ byte: UInt8) -> Bool {
        guard here.pointee == byte else { return false }
        here += 1
        return true
    }

    /// Skips `null` if the next byte is `n`. Returns true if it skipped `null`. Throws if another word begins with that
    /// `n`.
    @inlinable @inline(__always)
    public mutating func takeNull() throws(JSONStop) -> Bool {
        guard here.pointee == 0x6e else { return false }
        try literal("null")
        return true
    }

    @usableFromInline
    mutating func literal(_ text: StaticString) throws(JSONStop) {
        for index in 0..<text.utf8CodeUnitCount {
            guard here.pointee == text.utf8Start[index] else { throw stop("an unknown word") }
            here += 1
        }
    }

    /// Reads a non-negative integer of at most 18 digits that is at most `limit`.
    @inlinable @inline(__always)
    public mutating func number(limit: UInt64) throws(JSONStop) -> UInt64 {
        let first = here
        var value: UInt64 = 0
        while true {
            let digit = here.pointee &- 0x30
            guard digit < 10 else { break }
            // 18 digits cannot overflow. The check after the loop rejects longer numbers.
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

    /// Reads a string, which begins with its opening quote.
    @inlinable @inline(__always)
    public mutating func string() throws(JSONStop) -> JSONString {
        try expect(0x22, "something else where a string was expected")
        let first = here
        var multibyte: UInt64 = 0
        while true {
            let word = UnsafeRawPointer(here).loadUnaligned(as: UInt64.self).littleEndian
            // The lowest set bit of each mask marks the first quote, backslash or control character. Higher bits may be
            // set falsely, by borrows of the subtractions.
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
        // The padding consists of control characters, so the loop stops at its first byte at the latest.
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

    @inlinable
    static var topBits: UInt64 { 0x8080_8080_8080_8080 }

    @inlinable @inline(__always)
    static func zeroBytes(_ word: UInt64) -> UInt64 {
        (word &- 0x0101_0101_0101_0101) & ~word & topBits
    }

    /// Runs `body` with the content of `text`, and returns its result. This cursor must have read `text`.
    @inlinable @inline(__always)
    public func withBytes<Result, Failure: Error>(
        of text: JSONString, _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        guard text.isUnescaped else {
            return try body(UnsafeBufferPointer(start: start + text.offset, count: text.count))
        }
        return try scratch[text.offset..<text.offset + text.count].withUnsafeBufferPointer(body)
    }

    /// Skips a value of any kind and checks its syntax. A value with more than ``nesting`` levels is malformed.
    ///
    /// - Parameter depth: the number of enclosing arrays and objects that are skipped together with this value. It is 0
    ///   for the outermost skipped value, and 1 for its direct elements.
    public mutating func skipValue(depth: Int = 0) throws(JSONStop) {
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
            // Only a fraction or an exponent may follow a leading zero.
        } else {
            try skipDigits()
        }
        if take(0x2e) { try skipDigits() }
        if here.pointee | 0x20 == 0x65 {
            here += 1
            if here.pointee == 0x2b || here.pointee == 0x2d { here += 1 }
            try skipDigits()
        }
        // More digits may follow after the window.
        if here >= end { throw .needMore }
    }

    private mutating func skipDigits() throws(JSONStop) {
        guard here.pointee &- 0x30 < 10 else { throw stop("something that is no JSON value") }
        while here.pointee &- 0x30 < 10 { here += 1 }
    }
}
