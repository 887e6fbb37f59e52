/// Returns `text` in quotation marks. Each control character becomes `?`, and the text is cut after `limit` Unicode
/// scalars. A hostile name then cannot corrupt a log.
func quoted(_ text: some StringProtocol, limit: Int = 128) -> String {
    var result = "\""
    for scalar in text.unicodeScalars.prefix(limit) {
        let isControl = scalar.value < 0x20 || scalar.value == 0x7f || (0x80..<0xa0).contains(scalar.value)
        result.unicodeScalars.append(isControl ? "?" : scalar)
    }
    if text.unicodeScalars.count > limit { result += "…" }
    return result + "\""
}

extension StringProtocol {
    /// The text without the spaces and tabs at both ends.
    var trimmed: String {
        var rest = self[...]
        while rest.first == " " || rest.first == "\t" { rest = rest.dropFirst() }
        while rest.last == " " || rest.last == "\t" { rest = rest.dropLast() }
        return String(rest)
    }

    /// The text before the first `?`: a URL without its query. The query may contain a signature.
    var withoutQuery: String { String(prefix { $0 != "?" }) }

    /// The text with every byte percent-encoded, except for ASCII letters, digits and `-._~` (the unreserved characters
    /// of RFC 3986).
    var percentEncoded: String {
        var result: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e: result.append(byte)
            default: result += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
