import Base

/// A parser of one filter in the language of ``SnapshotFilter``.
struct SnapshotFilterParser {
    private let text: [Unicode.Scalar]
    private var position = 0

    init(_ text: String) {
        self.text = Array(text.unicodeScalars)
    }

    private var next: Unicode.Scalar? { position < text.count ? text[position] : nil }

    mutating func selectors() throws(SnapshotterError) -> [SnapshotFilter.Selector] {
        var selectors = [try selector()]
        skipSpace()
        while let scalar = next {
            guard scalar == "," else { throw failure("expected a comma") }
            position += 1
            selectors.append(try selector())
            skipSpace()
        }
        return selectors
    }

    private mutating func selector() throws(SnapshotterError) -> SnapshotFilter.Selector {
        var field = [try part()]
        while next == "." {
            position += 1
            field.append(try part())
        }
        skipSpace()
        guard let scalar = next, scalar != "," else {
            return SnapshotFilter.Selector(field: field, operation: .present)
        }
        let start = position
        while let scalar = next, "=!~".unicodeScalars.contains(scalar) { position += 1 }
        switch String(String.UnicodeScalarView(text[start..<position])) {
        case "==": return SnapshotFilter.Selector(field: field, operation: .equal(try value()))
        case "!=": return SnapshotFilter.Selector(field: field, operation: .notEqual(try value()))
        case "~=":
            let pattern = try value(alternateQuotes: true)
            do {
                return SnapshotFilter.Selector(field: field, operation: .matches(try LinearRegex(pattern)))
            } catch {
                switch error {
                // As in containerd, a malformed regular expression matches nothing.
                case .malformed: return SnapshotFilter.Selector(field: field, operation: .matches(nil))
                case .unsupported(let what):
                    throw SnapshotterError(.invalidArgument, "regular expression: \(what) is not supported")
                }
            }
        default: throw failure("expected ==, != or ~=")
        }
    }

    /// Parses a part of a field: an identifier or a quoted string.
    private mutating func part() throws(SnapshotterError) -> String {
        skipSpace()
        if next == "\"" { return try quoted() }
        let start = position
        while let scalar = next, scalar == "_" || scalar.isASCII && (scalar.properties.isAlphabetic || scalar.isDigit) {
            position += 1
        }
        guard position > start else { throw failure("expected a field") }
        return String(String.UnicodeScalarView(text[start..<position]))
    }

    private mutating func value(alternateQuotes: Bool = false) throws(SnapshotterError) -> String {
        skipSpace()
        if let scalar = next, scalar == "\"" || scalar == "/" || scalar == "|" {
            guard scalar == "\"" || alternateQuotes else { throw failure("only ~= takes this quote") }
            return try quoted()
        }
        let start = position
        while let scalar = next, scalar != ",", !scalar.properties.isWhitespace, scalar.value >= 0x20 { position += 1 }
        guard position > start else { throw failure("expected a value") }
        return String(String.UnicodeScalarView(text[start..<position]))
    }

    /// Parses a quoted string with the escapes of Go's string literals.
    private mutating func quoted() throws(SnapshotterError) -> String {
        let quote = next
        position += 1
        // Collect bytes first, because several escapes may form one character together.
        var bytes: [UInt8] = []
        while let scalar = next {
            position += 1
            if scalar == quote {
                guard let string = String(validating: bytes, as: UTF8.self) else { throw failure("not UTF-8") }
                return string
            }
            guard scalar != "\n", scalar.value != 0 else { break }
            if scalar == "\\" {
                try escape(quote, into: &bytes)
            } else {
                bytes += Array(String(Character(scalar)).utf8)
            }
        }
        throw failure("a quoted string does not end")
    }

    private mutating func escape(_ quote: Unicode.Scalar?, into bytes: inout [UInt8]) throws(SnapshotterError) {
        guard let scalar = next else { throw failure("a quoted string does not end") }
        position += 1
        switch scalar {
        case "a": bytes.append(7)
        case "b": bytes.append(8)
        case "t": bytes.append(9)
        case "n": bytes.append(10)
        case "v": bytes.append(11)
        case "f": bytes.append(12)
        case "r": bytes.append(13)
        case "\\": bytes.append(0x5C)
        case quote: bytes += Array(String(Character(scalar)).utf8)
        case "x": bytes.append(UInt8(truncatingIfNeeded: try number(radix: 16, digits: 2)))
        case "u", "U":
            guard let character = Unicode.Scalar(try number(radix: 16, digits: scalar == "u" ? 4 : 8)) else {
                throw failure("no such character")
            }
            bytes += Array(String(Character(character)).utf8)
        case "0"..."7":
            position -= 1
            let value = try number(radix: 8, digits: 3)
            guard value <= 0xFF else { throw failure("an octal escape is larger than a byte") }
            bytes.append(UInt8(value))
        default: throw failure("unknown escape")
        }
    }

    private mutating func number(radix: UInt32, digits: Int) throws(SnapshotterError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let scalar = next, let digit = Character(scalar).hexDigitValue, digit < Int(radix) else {
                throw failure("a numeric escape is too short")
            }
            position += 1
            // Eight digits of four bits cannot overflow.
            value = value &* radix | UInt32(digit)
        }
        return value
    }

    private mutating func skipSpace() {
        while let scalar = next, scalar.properties.isWhitespace { position += 1 }
    }

    private func failure(_ message: String) -> SnapshotterError {
        let context = String(String.UnicodeScalarView(text.prefix(256)))
        return SnapshotterError(.invalidArgument, "filter \(context): \(message) at character \(position)")
    }
}

extension Unicode.Scalar {
    /// True if the scalar is an ASCII digit.
    var isDigit: Bool { ("0"..."9").contains(self) }
}
