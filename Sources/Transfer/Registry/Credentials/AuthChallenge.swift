/// One challenge of a `WWW-Authenticate` header (RFC 9110 §11.6.1).
public struct AuthChallenge: Equatable {
    /// The scheme in lower case, such as `bearer` or `basic`.
    public var scheme: String
    /// The parameters, keyed by their names in lower case.
    public var parameters: [String: String]

    /// The longest accepted header, in bytes.
    private static let maximumLength = 8192

    /// Parses the challenges of a response's first 16 `WWW-Authenticate` headers. The parser skips a header that is
    /// longer than `maximumLength` bytes, and ignores the rest of a header after malformed text.
    public static func parse(_ headers: [String]) -> [AuthChallenge] {
        var found: [AuthChallenge] = []
        for header in headers.prefix(16) where header.utf8.count <= maximumLength {
            var scanner = Scanner(bytes: Array(header.utf8))
            found += scanner.challenges()
        }
        return found
    }

    private struct Scanner {
        let bytes: [UInt8]
        var index = 0

        mutating func challenges() -> [AuthChallenge] {
            var found: [AuthChallenge] = []
            while let word = nextWord() {
                skipBlanks()
                // A word before `=` names a parameter of the last challenge. Any other word begins a new challenge.
                if peek == 0x3d, !found.isEmpty {
                    index += 1
                    skipBlanks()
                    guard let value = nextValue() else { return found }
                    found[found.count - 1].parameters[word.lowercased()] = value
                } else {
                    found.append(AuthChallenge(scheme: word.lowercased(), parameters: [:]))
                }
            }
            return found
        }

        private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

        private mutating func skipBlanks() {
            while let byte = peek, byte == 0x20 || byte == 0x09 { index += 1 }
        }

        private mutating func nextWord() -> String? {
            while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x2c { index += 1 }
            let start = index
            while let byte = peek, Self.isTokenByte(byte) { index += 1 }
            return index > start ? String(decoding: bytes[start..<index], as: UTF8.self) : nil
        }

        private mutating func nextValue() -> String? {
            guard peek == 0x22 else {
                // Some servers do not quote a URL. The value then extends to the next comma or space.
                let start = index
                while let byte = peek, byte != 0x2c, byte != 0x20 { index += 1 }
                return String(decoding: bytes[start..<index], as: UTF8.self)
            }
            index += 1
            var value: [UInt8] = []
            while let byte = peek {
                index += 1
                if byte == 0x22 { return String(decoding: value, as: UTF8.self) }
                if byte == 0x5c {
                    guard let escaped = peek else { return nil }
                    index += 1
                    value.append(escaped)
                } else {
                    value.append(byte)
                }
            }
            return nil
        }

        private static func isTokenByte(_ byte: UInt8) -> Bool {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
            default: Array("!#$%&'*+-.^_`|~".utf8).contains(byte)
            }
        }
    }
}
