/// The keys of a TOML document with their lines, in the order of the document.
///
/// We parse `hosts.toml` with TOMLKit, which wraps toml++. TOMLKit returns tables sorted by key and without line
/// numbers. But the client tries hosts in the order of the `[host]` tables, and an error message must name the line.
///
/// The initializer accepts any text. The outline of a malformed text is exact only up to the first error.
package struct TOMLOutline {
    /// An error in the text that may crash toml++. On some errors toml++ traps instead of throwing, because its
    /// assertions are on in every build. So a text with a fault must not reach toml++. Nesting deeper than our limit of
    /// 64 levels is also a fault.
    package struct Fault: Equatable {
        /// The line, counted from 1.
        package var line: Int
        package var reason: String
    }

    struct Entry: Equatable {
        /// The components of the dotted path from the root, without quotes.
        var path: [String]
        /// The line, counted from 1.
        var line: Int
    }

    private(set) var entries: [Entry] = []
    /// The first fault; `nil` if there is none. Do not pass a text with a fault to toml++, because toml++ may trap on
    /// it.
    package let fault: Fault?

    package init(_ text: String) {
        var scanner = Scanner(bytes: Array(text.utf8))
        scanner.document()
        entries = scanner.entries
        fault = scanner.fault
    }

    /// Returns the line of the key at `path`, or of the nearest enclosing table. Returns `nil` if the document has
    /// neither.
    func line(of path: [String]) -> Int? {
        var path = path
        while !path.isEmpty {
            if let entry = entries.first(where: { $0.path.starts(with: path) }) { return entry.line }
            path.removeLast()
        }
        return nil
    }

    /// Returns the keys directly below the top-level table `table`, in the order in which the document first mentions
    /// them.
    func keys(below table: String) -> [String] {
        var seen: Set<String> = []
        return entries.compactMap { entry in
            guard entry.path.count > 1, entry.path[0] == table, seen.insert(entry.path[1]).inserted else { return nil }
            return entry.path[1]
        }
    }

    private struct Scanner {
        /// The deepest accepted nesting of arrays and inline tables.
        static let maximumDepth = 64
        let bytes: [UInt8]
        var index = 0
        var line = 1
        var entries: [Entry] = []
        var fault: Fault?

        var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

        mutating func advance() {
            if peek == 0x0a { line += 1 }
            index += 1
        }

        mutating func document() {
            var table: [String] = []
            // toml++ skips a byte order mark, too.
            if bytes.starts(with: [0xef, 0xbb, 0xbf]) { index = 3 }
            while true {
                skipBlanks(newlines: true)
                guard let byte = peek else { return }
                if byte == 0x5b {
                    checkHeader()
                    while peek == 0x5b { advance() }
                    table = key()
                    entries.append(Entry(path: table, line: line))
                    skipLine()
                } else {
                    assignment(in: table, depth: 0)
                    skipLine()
                }
            }
        }

        /// Records a fault if toml++ would trap on a table's header. toml++ asserts that the `[` or `[[` of a header is
        /// followed by a key, by `]`, or by the end of the document.
        private mutating func checkHeader() {
            var ahead = index + 1
            if ahead < bytes.count, bytes[ahead] == 0x5b { ahead += 1 }
            while ahead < bytes.count, bytes[ahead] == 0x20 || bytes[ahead] == 0x09 { ahead += 1 }
            guard ahead < bytes.count else { return }
            let byte = bytes[ahead]
            guard !Self.isBare(byte), byte != 0x22, byte != 0x27, byte != 0x5d else { return }
            fault = fault ?? Fault(line: line, reason: "a table's header without a key")
        }

        /// Parses `key = value`.
        mutating func assignment(in table: [String], depth: Int) {
            let path = table + key()
            entries.append(Entry(path: path, line: line))
            skipBlanks(newlines: false)
            guard peek == 0x3d else { return }
            advance()
            checkValue()
            skipBlanks(newlines: false)
            value(path, depth: depth)
        }

        /// Records a fault if the first byte of a value is not a visible ASCII character, or is one of `,`, `]`, `}`
        /// and `#`. toml++ asserts that no value begins with such a byte.
        private mutating func checkValue() {
            var ahead = index
            while ahead < bytes.count, bytes[ahead] == 0x20 || bytes[ahead] == 0x09 { ahead += 1 }
            guard ahead < bytes.count else { return }
            let byte = bytes[ahead]
            guard !(0x21...0x7e).contains(byte) || [0x2c, 0x5d, 0x7d, 0x23].contains(byte) else { return }
            fault = fault ?? Fault(line: line, reason: "a value is missing")
        }

        mutating func value(_ path: [String], depth: Int) {
            guard depth < Self.maximumDepth else {
                fault = fault ?? Fault(line: line, reason: "values are nested more than \(Self.maximumDepth) deep")
                index = bytes.count
                return
            }
            switch peek {
            case 0x22, 0x27:
                _ = string()
            case 0x5b:
                advance()
                while true {
                    skipBlanks(newlines: true)
                    guard let byte = peek else { return }
                    if byte == 0x5d { return advance() }
                    if byte == 0x2c {
                        advance()
                    } else {
                        checkValue()
                        value(path, depth: depth + 1)
                    }
                }
            case 0x7b:
                advance()
                while true {
                    skipBlanks(newlines: true)
                    guard let byte = peek else { return }
                    if byte == 0x7d { return advance() }
                    if byte == 0x2c {
                        advance()
                    } else {
                        let before = index
                        assignment(in: path, depth: depth + 1)
                        if index == before { advance() }
                    }
                }
            default:
                let before = index
                while let byte = peek, ![0x2c, 0x5d, 0x7d, 0x0a, 0x23].contains(byte) { advance() }
                if index == before {
                    if peek != nil { advance() }
                } else if !TOMLScalar.isWellFormed(bytes[before..<index]) {
                    let reason = "a value must be in quotes, or be a number, a date, true or false"
                    fault = fault ?? Fault(line: line, reason: reason)
                }
            }
        }

        /// Parses a dotted key.
        mutating func key() -> [String] {
            var parts: [String] = []
            while true {
                skipBlanks(newlines: false)
                guard let byte = peek else { return parts }
                if byte == 0x22 || byte == 0x27 {
                    parts.append(string())
                } else {
                    let start = index
                    while let byte = peek, Self.isBare(byte) { advance() }
                    guard index > start else { return parts }
                    parts.append(String(decoding: bytes[start..<index], as: UTF8.self))
                }
                skipBlanks(newlines: false)
                guard peek == 0x2e else { return parts }
                advance()
            }
        }

        /// Parses a string: basic or literal, single-line or multi-line. The parser decodes only the escapes of quotes
        /// and backslashes, and keeps other escapes as they are.
        mutating func string() -> String {
            guard let quote = peek else { return "" }
            let isMultiline = index + 2 < bytes.count && bytes[index + 1] == quote && bytes[index + 2] == quote
            for _ in 0..<(isMultiline ? 3 : 1) { advance() }
            var content: [UInt8] = []
            while let byte = peek {
                if byte == quote {
                    if !isMultiline {
                        advance()
                        break
                    }
                    if index + 2 < bytes.count, bytes[index + 1] == quote, bytes[index + 2] == quote {
                        for _ in 0..<3 { advance() }
                        break
                    }
                } else if byte == 0x5c, quote == 0x22 {
                    advance()
                    if let escaped = peek, escaped != 0x22, escaped != 0x5c { content.append(0x5c) }
                } else if byte == 0x0a, !isMultiline {
                    break
                }
                if let byte = peek { content.append(byte) }
                advance()
            }
            return String(decoding: content, as: UTF8.self)
        }

        mutating func skipBlanks(newlines: Bool) {
            while let byte = peek {
                if byte == 0x20 || byte == 0x09 || byte == 0x0d || (newlines && byte == 0x0a) {
                    advance()
                } else if byte == 0x23, newlines {
                    while let byte = peek, byte != 0x0a { _ = byte; advance() }
                } else {
                    return
                }
            }
        }

        mutating func skipLine() {
            while let byte = peek {
                advance()
                if byte == 0x0a { return }
            }
        }

        private static func isBare(_ byte: UInt8) -> Bool {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x5f: true
            default: false
            }
        }
    }
}
