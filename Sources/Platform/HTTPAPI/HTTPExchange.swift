/// A request with its complete body.
public struct HTTPRequest: Sendable {
    public let method: String
    /// The components of the path, percent-decoded: for `/v1/a%2Fb`, they are `v1` and `a/b`. The list is empty if a
    /// component cannot be decoded.
    public let path: [String]
    /// The decoded values of the query, keyed by name. If a name has several values, the last one wins.
    public let query: [String: String]
    /// The headers, keyed by name in lower case. If a name has several values, the first one wins.
    public let headers: [String: String]
    public let body: [UInt8]

    /// Creates a request, and decodes its path and query.
    ///
    /// - Parameters:
    ///   - target: the path and the query as in the request line, not decoded.
    ///   - headers: the headers, keyed by name in lower case.
    public init(method: String, target: String, headers: [String: String] = [:], body: [UInt8] = []) {
        self.method = method
        let halves = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let parts = halves[0].split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        let decoded = parts.map { Self.decode($0) }
        path = decoded.contains(nil) ? [] : decoded.compactMap { $0 }
        var query: [String: String] = [:]
        for pair in (halves.count > 1 ? halves[1] : "").split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decode(sides[0]) else { continue }
            query[name] = sides.count > 1 ? Self.decode(sides[1]) ?? "" : ""
        }
        self.query = query
        self.headers = headers
        self.body = body
    }

    /// True if the method is `GET` or `HEAD`. Services answer both methods in the same way. The listener omits the body
    /// of the response to a `HEAD`.
    public var isRead: Bool { method == "GET" || method == "HEAD" }

    /// Decodes each `%XX` in `text`. Returns `nil` if a `%` has no hexadecimal number of two characters after it, or if
    /// the result is not valid UTF-8.
    private static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(rest.prefix(2)) ?? "", radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// A response to a request.
public struct HTTPAnswer: Sendable, Equatable {
    public let status: Int
    /// The media type of the body.
    public let type: String
    public let body: [UInt8]

    public init(_ status: Int, type: String, body: [UInt8]) {
        self.status = status
        self.type = type
        self.body = body
    }

    /// Returns a one-line plain-text response.
    public static func text(_ status: Int, _ line: String) -> HTTPAnswer {
        HTTPAnswer(status, type: "text/plain", body: Array((line + "\n").utf8))
    }
}
