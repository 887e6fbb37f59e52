import Foundation
import Testing

/// A documented command line of `rivulet` or `rivuletd`.
struct DocumentedCommand: Sendable, CustomTestStringConvertible {
    let program: String
    /// All words after the program's name.
    let arguments: [String]
    /// The document and line, or the command whose help contains it.
    let source: String

    var testDescription: String { "\(source): \(program) \(arguments.joined(separator: " "))" }

    /// The root of the repository.
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// README.md and the files in docs, by their paths in the repository.
    static let documents: [(name: String, text: String)] = {
        do {
            let docs = try FileManager.default.contentsOfDirectory(atPath: root.path + "/docs")
                .filter { $0.hasSuffix(".md") }.sorted().map { "docs/" + $0 }
            return try (["README.md"] + docs).map {
                ($0, try String(contentsOf: root.appendingPathComponent($0), encoding: .utf8))
            }
        } catch {
            fatalError("cannot read the documents below \(root.path): \(error)")
        }
    }()

    /// Every command line in a fenced block of a document.
    static let fenced: [DocumentedCommand] = documents.flatMap { name, text in
        var isFenced = false
        var commands: [DocumentedCommand] = []
        var joined = ""
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.hasPrefix("```") {
                isFenced.toggle()
                continue
            }
            guard isFenced else { continue }
            if line.hasSuffix("\\") {
                joined += line.dropLast()
                continue
            }
            commands += Self.commands(in: joined + line, source: "\(name):\(index + 1)")
            joined = ""
        }
        return commands
    }

    /// Returns the command lines of our programs in `line`.
    static func commands(in line: String, source: String) -> [DocumentedCommand] {
        split(words(of: line), at: ["|", "||", "&&", ";"]).compactMap { words in
            var words = words[...]
            while let first = words.first {
                if first == "sudo" || first == "$" || first.contains("=") {
                    words = words.dropFirst()
                } else if first == "ssh" {
                    words = words.dropFirst(2)
                } else {
                    break
                }
            }
            guard let program = words.first, program == "rivulet" || program == "rivuletd" else { return nil }
            return DocumentedCommand(program: program, arguments: Array(words.dropFirst()), source: source)
        }
    }

    /// Splits a line like a shell, with quotes and comments.
    private static func words(of line: String) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        for character in line {
            if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character == "#", word == nil {
                break
            } else if character.isWhitespace {
                if let word { words.append(word) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        return words + [word].compactMap { $0 }
    }

    private static func split(_ words: [String], at separators: Set<String>) -> [[String]] {
        words.split(whereSeparator: separators.contains).map(Array.init)
    }
}
