extension CommandFailure {
    /// With what lay beneath.
    init(_ code: Code, _ message: String, cause: any Error) {
        self.init(code, "\(message): \(cause)".printable)
    }
}

extension String {
    /// With control and formatting characters replaced: paths come from images, and must not drive a terminal.
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
}
