/// The character rules of image references (github.com/distribution/reference). The functions check byte by byte,
/// without regular expressions or backtracking.
enum ReferenceGrammar {
    static let maximumTagLength = 128

    private static func isLower(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte) }
    private static func isUpper(_ byte: UInt8) -> Bool { (0x41...0x5a).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isLetterOrDigit(_ byte: UInt8) -> Bool { isLower(byte) || isUpper(byte) || isDigit(byte) }

    /// Returns true if `text` is a tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
    static func isTag(_ text: Substring) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= maximumTagLength else { return false }
        guard isLetterOrDigit(first) || first == 0x5f else { return false }
        return bytes.allSatisfy { isLetterOrDigit($0) || $0 == 0x5f || $0 == 0x2e || $0 == 0x2d }
    }

    /// Returns true if `text` is a repository's path: components joined by `/`. A component consists of runs of
    /// lower-case letters and digits, joined by `.`, `_`, `__` or dashes.
    static func isPath(_ text: Substring) -> Bool {
        guard !text.isEmpty else { return false }
        return text.utf8.split(separator: 0x2f, omittingEmptySubsequences: false).allSatisfy { isPathComponent($0) }
    }

    private static func isPathComponent(_ bytes: Substring.UTF8View.SubSequence) -> Bool {
        var separator: [UInt8] = []
        var sawAny = false
        for byte in bytes {
            if isLower(byte) || isDigit(byte) {
                if !separator.isEmpty {
                    guard sawAny, isSeparator(separator) else { return false }
                    separator = []
                }
                sawAny = true
            } else if byte == 0x2e || byte == 0x5f || byte == 0x2d {
                separator.append(byte)
            } else {
                return false
            }
        }
        return sawAny && separator.isEmpty
    }

    private static func isSeparator(_ bytes: [UInt8]) -> Bool {
        switch bytes {
        case [0x2e], [0x5f], [0x5f, 0x5f]: true
        default: bytes.allSatisfy { $0 == 0x2d }
        }
    }

    /// Returns true if `text` is a domain. A domain is a host name, an IPv4 address, or an IPv6 address in brackets,
    /// with an optional port.
    static func isDomain(_ text: Substring) -> Bool {
        guard text.utf8.count <= 255 else { return false }
        var host = text
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return false }
            let address = text[text.index(after: text.startIndex)..<close].utf8
            let isHexOrColon = { (byte: UInt8) in
                isDigit(byte) || (0x61...0x66).contains(byte) || (0x41...0x46).contains(byte) || byte == 0x3a
            }
            guard address.count >= 2, address.allSatisfy(isHexOrColon) else { return false }
            let rest = text[text.index(after: close)...]
            return rest.isEmpty || (rest.hasPrefix(":") && isPort(rest.dropFirst()))
        }
        if let colon = text.firstIndex(of: ":") {
            guard isPort(text[text.index(after: colon)...]) else { return false }
            host = text[..<colon]
        }
        guard !host.isEmpty else { return false }
        return host.utf8.split(separator: 0x2e, omittingEmptySubsequences: false).allSatisfy { label in
            guard let first = label.first, let last = label.last else { return false }
            return isLetterOrDigit(first) && isLetterOrDigit(last)
                && label.allSatisfy { isLetterOrDigit($0) || $0 == 0x2d }
        }
    }

    private static func isPort(_ text: Substring) -> Bool {
        guard !text.isEmpty, text.utf8.allSatisfy(isDigit), let port = UInt32(text) else { return false }
        return (1...65535).contains(port)
    }
}
