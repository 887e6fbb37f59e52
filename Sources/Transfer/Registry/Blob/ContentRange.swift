public import Base

/// A `Content-Range` header (RFC 9110 §14.4).
public struct ContentRange: Equatable {
    /// The range of the blob that the body contains; `nil` in a 416 response (`bytes */size`).
    public var range: ByteRange?
    /// The size of the whole blob in bytes; `nil` if the server sent `*`.
    public var size: UInt64?

    /// Parses `text`. Returns `nil` if `text` is malformed. Examples are a unit other than `bytes`, a number with a
    /// sign, and a range that ends before its start or beyond the size.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bytes" else { return nil }
        let halves = parts[1].split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        if Self.trim(halves[1]) != "*" {
            guard let size = Self.number(halves[1]) else { return nil }
            self.size = size
        }
        guard Self.trim(halves[0]) != "*" else {
            guard size != nil else { return nil }
            return
        }
        let ends = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let first = Self.number(ends[0]), let last = Self.number(ends[1]), first <= last,
            last < .max
        else { return nil }
        if let size, last >= size { return nil }
        range = ByteRange(offset: first, end: last + 1)
    }

    private static func trim<Text: StringProtocol>(_ text: Text) -> Text.SubSequence {
        var rest = text[...]
        while rest.first == " " { rest = rest.dropFirst() }
        while rest.last == " " { rest = rest.dropLast() }
        return rest
    }

    private static func number(_ text: some StringProtocol) -> UInt64? {
        let digits = trim(text)
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt64(digits)
    }
}
