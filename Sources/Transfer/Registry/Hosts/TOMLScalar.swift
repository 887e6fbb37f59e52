/// The grammar of TOML values without quotes or brackets (toml.io, v1.0.0): booleans, numbers, dates and times.
///
/// toml++ has assertions in its parsers of dates and numbers. Only text that this grammar accepts may reach them.
enum TOMLScalar {
    /// Returns true if `text` is one value, with blanks around it allowed. The function checks only the form: it also
    /// accepts a number or a date that is out of range.
    static func isWellFormed(_ text: ArraySlice<UInt8>) -> Bool {
        var text = text
        while let last = text.last, isBlank(last) { text.removeLast() }
        text = text.drop(while: isBlank)
        for word in ["true", "false"] where text.elementsEqual(word.utf8) { return true }
        var number = Cursor(rest: text)
        if number.number() { return true }
        var moment = Cursor(rest: text)
        return moment.moment()
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }

    private struct Cursor {
        var rest: ArraySlice<UInt8>

        /// Consumes the next byte if it is one of `bytes`.
        mutating func take(_ bytes: String) -> Bool {
            guard let byte = rest.first, bytes.utf8.contains(byte) else { return false }
            rest.removeFirst()
            return true
        }

        /// Consumes exactly `count` digits.
        mutating func digits(_ count: Int) -> Bool {
            let found = rest.prefix(count)
            guard found.count == count, found.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
            rest = rest.dropFirst(count)
            return true
        }

        /// Consumes one or more characters of `alphabet`, the digits of a number. Single underscores may separate them.
        mutating func digits(from alphabet: String = "0123456789") -> Bool {
            guard take(alphabet) else { return false }
            while true {
                if take(alphabet) { continue }
                guard rest.first == UInt8(ascii: "_") else { return true }
                rest.removeFirst()
                guard take(alphabet) else { return false }
            }
        }

        /// Returns true if the whole text is a number.
        mutating func number() -> Bool {
            for (prefix, alphabet) in [
                ("0x", "0123456789abcdefABCDEF"), ("0o", "01234567"), ("0b", "01"),
            ] where rest.starts(with: prefix.utf8) {
                rest = rest.dropFirst(2)
                return digits(from: alphabet) && rest.isEmpty
            }
            _ = take("+-")
            if rest.elementsEqual("inf".utf8) || rest.elementsEqual("nan".utf8) { return true }
            guard digits() else { return false }
            if take("."), !digits() { return false }
            if take("eE") {
                _ = take("+-")
                guard digits() else { return false }
            }
            return rest.isEmpty
        }

        /// Returns true if the whole text is a date, a time, or both.
        mutating func moment() -> Bool {
            if rest.dropFirst(2).first == UInt8(ascii: ":") { return time() && rest.isEmpty }
            guard digits(4), take("-"), digits(2), take("-"), digits(2) else { return false }
            guard take("Tt ") else { return rest.isEmpty }
            guard time() else { return false }
            if !take("Zz"), take("+-") {
                guard digits(2), take(":"), digits(2) else { return false }
            }
            return rest.isEmpty
        }

        private mutating func time() -> Bool {
            guard digits(2), take(":"), digits(2), take(":"), digits(2) else { return false }
            return !take(".") || digits()
        }
    }
}
