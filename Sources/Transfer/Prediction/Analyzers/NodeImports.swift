/// A reference to a module that a JavaScript file loads.
public struct NodeImport: Equatable, Sendable {
    public var name: String
    /// True if `import` loads the module, false if `require` does. A package may have a different file for each.
    public var isImport: Bool

    public init(name: String, isImport: Bool = false) {
        self.name = name
        self.isImport = isImport
    }
}

/// A parser of the module references in a JavaScript file. The parser returns only the references that Node.js follows
/// as soon as it loads the file.
public enum NodeImports {
    /// The maximum number of module names that the parser takes from one file.
    private static let maximum = 512
    private static let longestName = 256
    /// The maximum number of bytes between the first letter of an indented line and a `require` call in that line.
    /// Before a quoted name, the parser accepts this number of spaces, and more if the name is short.
    private static let longestGap = 256
    private static let (require, importing, exporting, from) = (
        Array("require(".utf8), Array("import".utf8), Array("export".utf8), Array("from".utf8)
    )

    /// Returns the modules that a file loads at its top level. Code in a function is left out, because it runs later or
    /// never. So the parser ignores an indented line, unless the line belongs to a list of variables or fields.
    public static func imports(inSource bytes: [UInt8]) -> [NodeImport] {
        var imports: [NodeImport] = []
        for line in bytes.split(separator: 0x0A) where imports.count < maximum {
            let code = line.drop { $0 == 0x20 || $0 == 0x09 }
            guard let first = code.first, first != UInt8(ascii: "*"), !code.starts(with: "//".utf8) else { continue }
            let isIndented = code.startIndex != line.startIndex
            imports += names(behind: require, in: code) { !isIndented || isField(code[..<$0]) }.map {
                NodeImport(name: $0)
            }
            guard !isIndented else { continue }
            let isImport = code.starts(with: importing)
            if isImport, let name = quoted(code.dropFirst(importing.count)) {
                imports.append(NodeImport(name: name, isImport: true))
            } else if isImport || code.starts(with: exporting) || first == UInt8(ascii: "}") {
                imports += names(behind: from, in: code) { _ in true }.map { NodeImport(name: $0, isImport: true) }
            }
        }
        return Array(imports.prefix(maximum))
    }

    /// Returns the quoted names that follow `word` in `code`.
    ///
    /// - Parameter isMeant: returns true if the name after an occurrence of `word` counts. It receives the position in
    ///   `code` of that occurrence.
    private static func names(
        behind word: [UInt8], in code: ArraySlice<UInt8>, _ isMeant: (Int) -> Bool
    ) -> [String] {
        var names: [String] = []
        var index = code.startIndex + word.count
        while index < code.endIndex, names.count < maximum {
            defer { index += 1 }
            guard code[index - 1] == word[word.count - 1], code[index - word.count..<index].elementsEqual(word),
                isMeant(index - word.count), let name = quoted(code[index...])
            else { continue }
            names.append(name)
        }
        return names
    }

    /// Returns true if `before` consists only of a name and `=` or `:`, possibly after a comma. Returns false for
    /// `const name =`, because an indented declaration usually belongs to a function.
    ///
    /// - Parameter before: the text between the indentation of a line and a call.
    private static func isField(_ before: ArraySlice<UInt8>) -> Bool {
        guard before.count <= longestGap else { return false }
        let words = before.split { $0 == 0x20 || $0 == 0x09 || $0 == UInt8(ascii: ",") }
        guard let end = words.last?.last, end == UInt8(ascii: "=") || end == UInt8(ascii: ":") else { return false }
        return words.count == 1 || words.count == 2 && words[1].count == 1
    }

    /// Returns the quoted text at the start of `bytes`, after any spaces; `nil` if there is none.
    private static func quoted(_ bytes: ArraySlice<UInt8>) -> String? {
        let bytes = bytes.prefix(longestGap + longestName + 2).drop { $0 == 0x20 }
        guard let quote = bytes.first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { return nil }
        let text = bytes.dropFirst().prefix { $0 != quote }
        guard !text.isEmpty, text.count <= longestName, text.endIndex < bytes.endIndex else { return nil }
        return String(validating: text, as: UTF8.self)
    }
}
