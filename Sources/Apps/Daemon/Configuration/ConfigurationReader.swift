import Base
import Registry
import TOMLKit

/// A reader of the options in a TOML document. ``finish()`` rejects each key that no other method has read.
///
/// A misspelled key is therefore an error with the key's name and line, and not a silent default. TOMLKit reports lines
/// only for syntax errors, so the reader searches the text for the line of a key.
struct ConfigurationReader {
    private let path: String
    private let text: String
    private let document: TOMLTable
    private var taken: Set<String> = []

    /// Parses `text`. Error messages name `path` as the file.
    init(text: String, path: String) throws(ConfigurationError) {
        self.path = path
        self.text = text
        if let fault = TOMLOutline(text).fault {
            throw ConfigurationError(.syntax, "\(path):\(fault.line): \(fault.reason)")
        }
        do {
            document = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw ConfigurationError(.syntax, "\(path):\(error.source.begin.line): \(error.description)")
        } catch {
            throw ConfigurationError(.syntax, "\(path): not TOML", cause: error)
        }
    }

    /// Returns the string at `key` (`table.name` or `name`); `fallback` if the key is not set.
    mutating func string(_ key: String, default fallback: String) throws(ConfigurationError) -> String {
        guard let value = take(key) else { return fallback }
        guard let string = value.string else { throw mismatch(key, "a string in quotes") }
        return string
    }

    /// Returns the list of strings at `key`; `nil` if the key is not set or the list is empty.
    mutating func strings(_ key: String) throws(ConfigurationError) -> [String]? {
        guard let value = take(key) else { return nil }
        guard let list = value.array else { throw mismatch(key, "a list of strings, such as [\"registry.example\"]") }
        let strings = list.compactMap(\.string)
        guard strings.count == list.count else { throw mismatch(key, "a list of strings in quotes") }
        return strings.isEmpty ? nil : strings
    }

    /// Returns the absolute path at `key`; `fallback` if the key is not set.
    mutating func path(_ key: String, default fallback: String) throws(ConfigurationError) -> String {
        let value = try string(key, default: fallback)
        guard value.hasPrefix("/"), !value.utf8.contains(0) else { throw mismatch(key, "an absolute path") }
        return value
    }

    /// Returns the `http` or `https` URL at `key` without a trailing slash; `nil` if the key is not set or empty.
    mutating func url(_ key: String) throws(ConfigurationError) -> String? {
        let value = try string(key, default: "")
        guard !value.isEmpty else { return nil }
        guard value.hasPrefix("http://") || value.hasPrefix("https://"),
            value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw mismatch(key, "a URL, such as \"https://conversion.example\"") }
        return value.hasSuffix("/") ? String(value.dropLast()) : value
    }

    /// Returns the case of `Choice` that the string at `key` names; `fallback` if the key is not set.
    mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, default fallback: Choice
    ) throws(ConfigurationError) -> Choice where Choice.RawValue == String {
        let value = try string(key, default: fallback.rawValue)
        guard let choice = Choice(rawValue: value) else {
            throw mismatch(key, "one of " + Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))
        }
        return choice
    }

    /// Returns the boolean at `key`; `fallback` if the key is not set.
    mutating func bool(_ key: String, default fallback: Bool) throws(ConfigurationError) -> Bool {
        guard let value = take(key) else { return fallback }
        guard let bool = value.bool else { throw mismatch(key, "true or false") }
        return bool
    }

    /// Returns the integer at `key`, which must be in `bounds`; `fallback` if the key is not set.
    mutating func integer(
        _ key: String, default fallback: Int, in bounds: ClosedRange<Int>
    ) throws(ConfigurationError) -> Int {
        guard let value = take(key) else { return fallback }
        guard let integer = value.int, bounds.contains(integer) else {
            throw mismatch(key, "a whole number from \(bounds.lowerBound) to \(bounds.upperBound)")
        }
        return integer
    }

    /// Throws an error if the document contains a key that no call has read. The error names the first such key.
    func finish() throws(ConfigurationError) {
        for name in document.keys.sorted() {
            if let table = document[name]?.table {
                for inner in table.keys.sorted() where !taken.contains("\(name).\(inner)") {
                    throw unknown("\(name).\(inner)")
                }
                // An empty table with an unknown name is also a misspelling.
                if table.isEmpty, !taken.contains(where: { $0.hasPrefix("\(name).") }) { throw unknown(name) }
            } else if !taken.contains(name) {
                throw unknown(name)
            }
        }
    }

    // MARK: -

    private mutating func take(_ key: String) -> (any TOMLValueConvertible)? {
        taken.insert(key)
        let parts = key.split(separator: ".", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return document[key] }
        return document[parts[0]]?.table?[parts[1]]
    }

    private func mismatch(_ key: String, _ expected: String) -> ConfigurationError {
        ConfigurationError(.badValue, "\(location(of: key)): \(key) must be \(expected)")
    }

    private func unknown(_ key: String) -> ConfigurationError {
        let known = taken.min { distance($0, key) < distance($1, key) }
        let hint = known.flatMap { distance($0, key) <= 3 ? " (did you mean \($0)?)" : nil } ?? ""
        return ConfigurationError(.unknownKey, "\(location(of: key)): unknown option \(key)\(hint)")
    }

    /// Returns `file:line` of `key`, or only the file if the search does not find the key.
    private func location(of key: String) -> String {
        var table = ""
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let trimmed = line.drop { $0 == " " || $0 == "\t" }
            if trimmed.hasPrefix("["), let end = trimmed.firstIndex(of: "]") {
                table = trimmed[trimmed.index(after: trimmed.startIndex)..<end].filter { $0 != " " && $0 != "\"" }
                if table == key { return "\(path):\(index + 1)" }
                continue
            }
            guard let equals = trimmed.firstIndex(of: "=") else { continue }
            let name = trimmed[..<equals].filter { $0 != " " && $0 != "\t" && $0 != "\"" && $0 != "'" }
            if (table.isEmpty ? name : "\(table).\(name)") == key { return "\(path):\(index + 1)" }
        }
        return path
    }

    /// Returns the edit distance between two keys, in bytes.
    private func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        var previous = Array(0...right.count)
        for (row, letter) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                current.append(
                    min(previous[column + 1] + 1, current[column] + 1, previous[column] + (letter == other ? 0 : 1)))
            }
            previous = current
        }
        return previous[right.count]
    }
}
