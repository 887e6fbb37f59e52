import Base
import NIOCore
import Registry

extension FuzzTarget {
    /// `WWW-Authenticate` headers, one per line, and the state that an authorizer keeps of them.
    static let authChallenge = FuzzTarget("FuzzAuthChallenge") { input in
        let challenges = AuthChallenge.parse(lines(input))
        var cache = TokenCache()
        if cache.learn(challenges, repository: "team/app") { precondition(!challenges.isEmpty) }
        for challenge in challenges {
            precondition(challenge.scheme == challenge.scheme.lowercased())
            let scopes = TokenCache.scopes(repository: "team/app", challenged: challenge.parameters["scope"])
            precondition((1...9).contains(scopes.count))
        }
    }

    /// The body of a token endpoint's answer.
    static let tokenAnswer = FuzzTarget("FuzzTokenAnswer") { input in
        guard let answer = TokenAnswer(bytes: Array(input)) else { return }
        precondition(!answer.text.isEmpty && answer.usableFor <= .seconds(30 * 86400))
    }

    /// The head of an answer to a range request. The first byte selects status and request. Content-Range, Content-Type
    /// and Content-Length follow, one per line.
    static let contentRange = FuzzTarget("FuzzContentRange") { input in
        guard let first = input.first else { return }
        let fields = lines(UnsafeRawBufferPointer(rebasing: input.dropFirst()))
        let headers = Dictionary(
            zip(["content-range", "content-type", "content-length"], fields), uniquingKeysWith: { first, _ in first })
        if let text = fields.first, let content = ContentRange(text), let range = content.range {
            precondition(!range.isEmpty && content.size.map { range.end <= $0 } ?? true)
        }
        let asked = selections[Int(first >> 2) % selections.count]
        guard
            let answer = try? RangeAnswer(
                status: [200, 206, 416, 206][Int(first & 3)], asked: asked, header: { headers[$0] })
        else { return }
        if case .multipart(let boundary) = answer { precondition((1...70).contains(boundary.utf8.count)) }
        guard case .bytes(let range, _) = answer, case .range(let wanted) = asked else { return }
        precondition(wanted.contains(range), "bytes outside the range that was asked for")
    }

    private static let selections: [BlobSelection] = [
        .whole, .suffix(100), .range(ByteRange(offset: 100, end: 200)),
        .ranges([ByteRange(offset: 10, end: 20), ByteRange(offset: 30, end: 40)]),
    ]

    /// A multipart/byteranges body after a first byte, which selects the size of the pieces. Pieces must not change the
    /// events.
    static let multipart = FuzzTarget("FuzzMultipart") { input in
        guard let first = input.first else { return }
        let body = Array(input.dropFirst())
        let whole = parts(body, pieceSize: max(1, body.count))
        precondition(whole == parts(body, pieceSize: 1 + Int(first)))
        for part in whole.parts { precondition(UInt64(part.bytes.count) <= part.range.count) }
    }

    /// A Location header, a Cache-Control header and a date, one per line.
    static let redirect = FuzzTarget("FuzzRedirect") { input in
        let fields = lines(input)
        let cacheControl = fields.dropFirst().first
        _ = fields.map { (HTTPDate.secondsSince1970($0), HTTPDate.secondsSince1970(iso8601: $0)) }
        guard let location = fields.first,
            let target = RedirectTarget(
                location, from: "https://registry.example/v2/a/blobs/b", cacheControl: cacheControl)
        else { return }
        precondition(!target.description.contains("?"))
        let now: Int64 = 1_800_000_000
        precondition(RedirectExpiry.end(url: target.url, cacheControl: cacheControl, now: now) <= now + 6 * 3600)
    }

    /// An image reference: its normal form must parse to the same reference.
    static let imageReference = FuzzTarget("FuzzImageReference") { input in
        guard let reference = try? ImageReference(parsing: String(decoding: input, as: UTF8.self)) else { return }
        precondition((try? ImageReference(parsing: reference.description)) == reference)
    }

    private struct Part: Equatable {
        var range: ByteRange
        var size: UInt64?
        var bytes: [UInt8] = []
    }

    private struct Parts: Equatable {
        var parts: [Part] = []
        var isClosed = false
        var failed = false
    }

    private static func parts(_ body: [UInt8], pieceSize: Int) -> Parts {
        var parser = MultipartParser(boundary: "b")
        var result = Parts()
        for start in stride(from: 0, to: body.count, by: pieceSize) {
            parser.receive(ByteBuffer(bytes: body[start..<min(body.count, start + pieceSize)]))
            events: while true {
                guard let event = try? parser.next() else {
                    result.failed = true
                    return result
                }
                switch event {
                case .part(let range, let size): result.parts.append(Part(range: range, size: size))
                case .bytes(let buffer):
                    precondition(buffer.readableBytes > 0)
                    result.parts[result.parts.count - 1].bytes += Array(buffer.readableBytesView)
                case .end:
                    result.isClosed = true
                    return result
                case .needMore: break events
                }
            }
        }
        return result
    }

    private static func lines(_ input: UnsafeRawBufferPointer) -> [String] {
        input.split(separator: 0x0a, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }
}
