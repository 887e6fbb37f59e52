import ArgumentParser
import FoundationEssentials
import Glibc
import HTTPAPI
import Linux

/// The format of a command's result.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

/// The options of every subcommand that prints a result from a registry.
struct OutputOptions: ParsableArguments {
    @Option(name: .customLong("output"), help: "Format of the result.")
    var format = OutputFormat.table
}

/// The output of commands. Results go to standard output, everything else to standard error.
enum Output {
    /// Writes one line to standard error.
    static func error(_ line: String) {
        note(line + "\n")
    }

    /// Writes `text` to standard error. Ignores errors, such as a closed pipe.
    static func note(_ text: String) {
        var text = text
        text.withUTF8 { try? Sys.writeAll(STDERR_FILENO, UnsafeRawBufferPointer($0)) }
    }

    /// Prints `value` as JSON with sorted keys.
    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        print(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// Prints a table whose columns are as wide as their contents.
    static func table(_ header: [String], _ rows: [[String]]) {
        let widths = header.indices.map { column in
            ([header] + rows).map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        for row in [header] + rows {
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: max(0, $1 - $0.count)) }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            print(line)
        }
    }

    /// Returns a size as text with a decimal unit, such as `1.5 MB`.
    static func size(_ bytes: UInt64) -> String {
        let units = ["B", "KB", "MB", "GB", "TB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1000, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        return unit == 0 ? "\(bytes) B" : "\((value * 10).rounded() / 10) \(units[unit])"
    }
}

/// A progress line on a terminal. If standard error is not a terminal, the methods print nothing.
struct ProgressBar {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let title: String

    init(_ title: String) {
        self.title = title
    }

    /// Updates the line.
    ///
    /// - Parameters:
    ///   - done: the number of bytes that have been processed.
    ///   - total: the expected total, in bytes; 0 if it is unknown.
    func show(_ done: UInt64, of total: UInt64) {
        guard isTerminal else { return }
        guard total > 0 else { return Output.note("\r\(title) \(Output.size(done))  ") }
        let share = Double(min(done, total)) / Double(total)
        let filled = Int(share * 30)
        let bar = String(repeating: "=", count: filled) + String(repeating: " ", count: 30 - filled)
        Output.note(
            "\r\(title) [\(bar)] \(Int(share * 100)) %  \(Output.size(done)) of \(Output.size(total))  ")
    }

    func end() {
        if isTerminal { Output.note("\r\u{1B}[K") }
    }
}

extension String {
    /// A copy with control and formatting characters replaced by U+FFFD. Paths come from untrusted images and must not
    /// control a terminal.
    var printable: String {
        var result = ""
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: result.unicodeScalars.append("\u{FFFD}")
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A copy without white space at both ends.
    var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}

extension HTTPCall.Answer {
    /// The first line of the response's text, made safe to print.
    var line: String { firstLine.printable }
}
