import HTTPAPI

extension String {
    /// A copy with control and formatting characters replaced: paths come from images and must not control a terminal.
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

    /// A copy without white space at its ends.
    var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}

extension HTTPCall.Answer {
    /// The first line of its text, safe to print.
    var line: String { firstLine.printable }
}
