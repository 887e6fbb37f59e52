/// Finds the heads of HTTP/1.1 requests in a client's bytes (RFC 9112), and skips bodies of known length.
///
/// The scanner supports only what reads need. After a request whose body has no Content-Length, it ignores the rest of
/// the connection.
struct RequestScanner {
    struct Head: Equatable {
        var method: String
        var path: String
        var range: String?
        var agent: String?
    }

    private static let longestHead = 64 << 10
    private var head: [UInt8] = []
    private var bodyLeft: UInt64 = 0
    private var opaque = false

    /// Returns the heads that `bytes` complete. `bytes` follow those of the earlier calls.
    mutating func scan(_ bytes: some Sequence<UInt8>) -> [Head] {
        var heads: [Head] = []
        for byte in bytes where !opaque {
            if bodyLeft > 0 {
                bodyLeft -= 1
                continue
            }
            head.append(byte)
            if byte == UInt8(ascii: "\n"), head.suffix(4).elementsEqual([13, 10, 13, 10]) {
                if let complete = finish() { heads.append(complete) }
            } else if head.count > Self.longestHead {
                opaque = true
            }
        }
        return heads
    }

    private mutating func finish() -> Head? {
        defer { head.removeAll(keepingCapacity: true) }
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
        guard let first = lines.first?.split(separator: " "), first.count == 3 else {
            opaque = true
            return nil
        }
        var result = Head(method: String(first[0]), path: String(first[1]))
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            switch line[..<colon].lowercased() {
            case "range": result.range = String(value)
            case "user-agent": result.agent = String(value)
            case "content-length": bodyLeft = UInt64(value) ?? 0
            case "transfer-encoding": opaque = true
            default: break
            }
        }
        return result
    }
}
