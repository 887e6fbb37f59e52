import Base
import NIOCore
import NIOHTTP1

extension TestRegistry {
    /// The resource that a request's path names.
    private enum Target {
        case root
        case token
        case manifest(repository: String, reference: String)
        case blob(Digest)
        case storage(Digest)
        case upload(repository: String)
        case referrers(repository: String, subject: Digest)
        case tags(repository: String)
        case unknown

        var kind: RequestKind {
            switch self {
            case .manifest: .manifest
            case .blob: .blob
            case .storage: .storage
            case .token: .token
            case .upload: .upload
            case .referrers: .referrers
            case .root, .tags, .unknown: .other
            }
        }

        var digest: Digest? {
            switch self {
            case .blob(let digest), .storage(let digest): digest
            default: nil
            }
        }
    }

    /// Records a request, holds it at its gates, and returns the response.
    func answer(_ head: HTTPRequestHead, body: [UInt8], connection: ObjectIdentifier) async -> Answer {
        let halves = head.uri.split(separator: "?", maxSplits: 1).map(String.init)
        let path = halves.first ?? ""
        let query = halves.count > 1 ? halves[1] : ""
        let behaviour = behaviour
        let target = Self.target(path, prefix: behaviour.prefix)
        let request = RecordedRequest(
            kind: target.kind, method: head.method.rawValue, path: path, query: query,
            headers: head.headers.map { ($0.name, $0.value) }, bytes: body, connection: connection)
        let (fault, gates) = state.withLock { state -> (Fault?, [Gate]) in
            state.requests.append(request)
            return (Self.takeFault(&state, target.kind, target.digest), state.gates.filter { $0.kind == target.kind })
        }
        for gate in gates { await gate.pass() }
        if case .status(let status, let headers) = fault {
            var fields = HTTPHeaders()
            for (name, value) in headers.sorted(by: { $0.key < $1.key }) { fields.add(name: name, value: value) }
            return Answer(status, fields, text: "as told")
        }
        var answer = respond(to: target, request, behaviour)
        switch fault {
        case .breakBody(let count): answer.breaksAfter = count
        case .stallBody(let count): answer.stallsAfter = count
        case .stallHead: answer.stallsHead = true
        case .close: answer.closes = true
        case .corrupt: Self.corrupt(&answer)
        case .status, nil: break
        }
        if behaviour.corruptsBlobs && target.digest != nil { Self.corrupt(&answer) }
        if behaviour.omitsContentLength { answer.headers.remove(name: "content-length") }
        if behaviour.omitsContentType { answer.headers.remove(name: "content-type") }
        return answer
    }

    private static func corrupt(_ answer: inout Answer) {
        guard !answer.body.isEmpty else { return }
        answer.body[answer.body.startIndex + answer.body.count / 2] ^= 1
    }

    private static func takeFault(_ state: inout State, _ kind: RequestKind, _ digest: Digest?) -> Fault? {
        for index in state.injections.indices {
            let injection = state.injections[index]
            guard injection.kind == kind, injection.digest == nil || injection.digest == digest else { continue }
            if injection.skipping > 0 {
                state.injections[index].skipping -= 1
                continue
            }
            guard injection.remaining > 0 else { continue }
            state.injections[index].remaining -= 1
            return injection.fault
        }
        return nil
    }

    private static func target(_ path: String, prefix: String) -> Target {
        if path == "/token" { return .token }
        if path.hasPrefix("/storage/") { return Digest(path.dropFirst(9)).map { .storage($0) } ?? .unknown }
        guard path.hasPrefix(prefix + "/") else { return .unknown }
        let parts = path.dropFirst(prefix.count + 1).split(separator: "/").map(String.init)
        if parts.isEmpty { return .root }
        guard parts.count >= 3, let last = parts.last else { return .unknown }
        let repository = parts.dropLast(2).joined(separator: "/")
        if parts.suffix(2) == ["tags", "list"] { return .tags(repository: repository) }
        switch parts[parts.count - 2] {
        case "manifests": return .manifest(repository: repository, reference: last)
        case "blobs":
            return last == "uploads" ? .upload(repository: repository) : Digest(last).map { .blob($0) } ?? .unknown
        case "uploads": return .upload(repository: parts.dropLast(3).joined(separator: "/"))
        case "referrers":
            return Digest(last).map { .referrers(repository: repository, subject: $0) } ?? .unknown
        default: return .unknown
        }
    }

    private func respond(to target: Target, _ request: RecordedRequest, _ behaviour: Behaviour) -> Answer {
        switch target {
        case .token:
            return giveToken(request, behaviour)
        case .storage(let digest):
            return serveStorage(digest, request, behaviour)
        default:
            if let refusal = refusal(request, behaviour) { return refusal }
        }
        switch target {
        case .root:
            return Answer(200)
        case .upload(let repository):
            return upload(request, repository, behaviour)
        case .tags(let repository):
            return tags(request, repository, behaviour)
        case .referrers(let repository, let subject):
            return referrers(request, repository, subject, behaviour)
        case .manifest(let repository, let reference):
            if request.method == "PUT" { return take(request, repository, reference, behaviour) }
            if request.method == "DELETE" { return delete(repository, reference) }
            guard let stored = state.withLock({ $0.manifests["\(repository):\(reference)"] }) else {
                return Answer(404, text: #"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#)
            }
            let digest = behaviour.statedDigest ?? Digest.of(stored.bytes)
            return Answer(
                200, ["content-type": stored.mediaType, "docker-content-digest": digest.description],
                body: stored.bytes[...])
        case .blob(let digest):
            guard let blob = state.withLock({ $0.blobs[digest] }) else {
                return Answer(404, text: #"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#)
            }
            if let redirect = behaviour.redirect {
                redirect.target.state.withLock { $0.blobs[digest] = blob }
                let location = behaviour.location ?? redirect.target.presign(digest, redirect)
                return Answer(redirect.status, ["location": location])
            }
            if let location = behaviour.location { return Answer(307, ["location": location]) }
            return serve(blob, request, behaviour)
        case .token, .storage, .unknown:
            return Answer(404)
        }
    }

    /// Returns a response with status 401 if the required authentication is missing or wrong, else `nil`.
    private func refusal(_ request: RecordedRequest, _ behaviour: Behaviour) -> Answer? {
        switch behaviour.authentication {
        case .none:
            return nil
        case .basic(let user, let password):
            guard request.authorization != "Basic " + Base64.encode(user + ":" + password) else { return nil }
            return Answer(401, ["www-authenticate": #"Basic realm="test""#])
        case .bearer:
            let token = request.authorization.flatMap { $0.hasPrefix("Bearer ") ? String($0.dropFirst(7)) : nil }
            let mayPush = token.map { token in state.withLock { $0.pushTokens.contains(token) } } ?? false
            let needsPush = request.method != "GET" && request.method != "HEAD"
            if let token, state.withLock({ $0.tokens.contains(token) }), mayPush || !needsPush { return nil }
            let parts = request.path.dropFirst(behaviour.prefix.count + 1).split(separator: "/")
            let name = parts.prefix { !["manifests", "blobs", "referrers"].contains($0) }.joined(separator: "/")
            let isRead = request.method == "GET" || request.method == "HEAD"
            let scope = "repository:\(name):pull" + (isRead ? "" : ",push")
            return Answer(
                401, ["www-authenticate": #"Bearer realm="\#(url)/token",service="test",scope="\#(scope)""#])
        }
    }

    private func giveToken(_ request: RecordedRequest, _ behaviour: Behaviour) -> Answer {
        guard case .bearer(let user, let password) = behaviour.authentication else { return Answer(404) }
        if request.method == "POST" {
            guard behaviour.tokenPostStatus == 200 else { return Answer(behaviour.tokenPostStatus) }
            guard let user else { return Answer(401) }
            let isRight =
                request.body.contains("grant_type=password&username=\(user)&password=\(password)")
                || request.body.contains("grant_type=refresh_token&refresh_token=\(password)")
            guard isRight else { return Answer(401) }
        } else if let user {
            guard request.authorization == "Basic " + Base64.encode(user + ":" + password) else { return Answer(401) }
        }
        let token = state.withLock { state -> String in
            state.issuedTokens += 1
            let token = "token-\(state.issuedTokens)"
            state.tokens.insert(token)
            let asked = request.query + request.body
            if asked.contains("pull%2Cpush") || asked.contains("pull,push") { state.pushTokens.insert(token) }
            return token
        }
        let life = behaviour.tokenLife.map { #","expires_in":\#($0)"# } ?? ""
        let name = request.method == "POST" ? "access_token" : "token"
        return Answer(200, ["content-type": "application/json"], text: #"{"\#(name)":"\#(token)"\#(life)}"#)
    }

    // MARK: - Presigned URLs

    /// Returns a URL that is signed as S3 signs.
    private func presign(_ digest: Digest, _ redirect: Behaviour.Redirect) -> String {
        let signature = state.withLock { state -> String in
            state.issuedSignatures += 1
            let signature = "signature-\(state.issuedSignatures)"
            state.signatures.insert(signature)
            return signature
        }
        let date = Calendar.basic(redirect.issued)
        return "\(url)/storage/\(digest)?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=\(date)"
            + "&X-Amz-Expires=\(redirect.life)&X-Amz-Signature=\(signature)"
    }

    private func serveStorage(_ digest: Digest, _ request: RecordedRequest, _ behaviour: Behaviour) -> Answer {
        // S3 refuses a presigned URL together with an Authorization header.
        if request.authorization != nil {
            return Answer(400, text: "Only one auth mechanism allowed")
        }
        let signature = request.query.split(separator: "&").first { $0.hasPrefix("X-Amz-Signature=") }.map {
            String($0.dropFirst(16))
        }
        let (isValid, blob) = state.withLock {
            ($0.signatures.contains(signature ?? ""), $0.blobs[digest])
        }
        guard isValid else { return Answer(403, text: "Request has expired") }
        guard let blob else { return Answer(404) }
        return serve(blob, request, behaviour)
    }

    // MARK: - Ranges

    private func serve(_ blob: [UInt8], _ request: RecordedRequest, _ behaviour: Behaviour) -> Answer {
        if request.method == "HEAD" {
            guard !behaviour.refusesHead else { return Answer(403) }
            return Answer(200, ["content-length": String(blob.count), "content-type": "application/octet-stream"])
        }
        let whole = Answer(200, ["content-type": "application/octet-stream"], body: blob[...])
        if let text = request.range, let several = Self.ranges(text, size: blob.count) {
            switch behaviour.ranges {
            case .ignored, .severalIgnored: return whole
            case .severalRefused(let status): return Answer(status, text: "one range a request")
            case .firstOfSeveral: return partial(blob, several[0], behaviour)
            default: return multipart(blob, several)
            }
        }
        guard let text = request.range, let asked = Self.range(text, size: blob.count) else { return whole }
        switch behaviour.ranges {
        case .ignored:
            return whole
        case .ignoredFirst(let count):
            let isIgnored = state.withLock { state -> Bool in
                state.rangesIgnored += 1
                return state.rangesIgnored <= count
            }
            if isIgnored { return whole }
        case .suffixRefused(let status):
            if asked.isSuffix { return Answer(status, text: "suffix ranges are not supported") }
        case .suffixIgnored:
            if asked.isSuffix { return whole }
        default: break
        }
        guard let range = asked.range else {
            return Answer(416, ["content-range": "bytes */\(blob.count)"])
        }
        return partial(blob, range, behaviour)
    }

    private func partial(_ blob: [UInt8], _ range: Range<Int>, _ behaviour: Behaviour) -> Answer {
        var range = range
        var headers: HTTPHeaders = ["content-type": "application/octet-stream"]
        switch behaviour.ranges {
        case .multipart(let parts):
            return multipart(blob, range, parts)
        case .shortened(let count):
            range = range.lowerBound..<min(range.upperBound, range.lowerBound + max(1, count))
        case .shifted(let count):
            range = min(range.lowerBound + count, blob.count - 1)..<min(range.upperBound + count, blob.count)
        case .unstated:
            return Answer(206, headers, body: blob[range])
        case .sizeless:
            headers.add(name: "content-range", value: "bytes \(range.lowerBound)-\(range.upperBound - 1)/*")
            return Answer(206, headers, body: blob[range])
        default: break
        }
        headers.add(name: "content-range", value: "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(blob.count)")
        return Answer(206, headers, body: blob[range])
    }

    private func multipart(_ blob: [UInt8], _ range: Range<Int>, _ parts: Int) -> Answer {
        let step = max(1, (range.count + parts - 1) / max(1, parts))
        return multipart(
            blob,
            stride(from: range.lowerBound, to: range.upperBound, by: step)
                .map { $0..<min($0 + step, range.upperBound) })
    }

    private func multipart(_ blob: [UInt8], _ ranges: [Range<Int>]) -> Answer {
        var body: [UInt8] = []
        for range in ranges {
            body += Array(
                "\r\n--THE BOUNDARY\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(blob.count)\r\n\r\n"
                    .utf8)
            body += blob[range]
        }
        body += Array("\r\n--THE BOUNDARY--\r\n".utf8)
        return Answer(206, ["content-type": #"multipart/byteranges; boundary="THE BOUNDARY""#], body: body[...])
    }

    /// Parses a `Range` header with several ranges. Returns `nil` for any other header.
    private static func ranges(_ text: String, size: Int) -> [Range<Int>]? {
        guard text.hasPrefix("bytes="), text.contains(",") else { return nil }
        let ranges = text.dropFirst(6).split(separator: ",").map { range("bytes=\($0)", size: size)?.range }
        return ranges.contains(nil) ? nil : ranges.compactMap { $0 }
    }

    /// Parses a `Range` header with one range. Returns `nil` for any other header. `range` is `nil` if the blob does
    /// not have the range.
    private static func range(_ text: String, size: Int) -> (range: Range<Int>?, isSuffix: Bool)? {
        guard text.hasPrefix("bytes="), !text.contains(",") else { return nil }
        let ends = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2 else { return nil }
        if ends[0].isEmpty {
            guard let count = Int(ends[1]) else { return nil }
            return count == 0 || size == 0 ? (nil, true) : (max(0, size - count)..<size, true)
        }
        guard let first = Int(ends[0]) else { return nil }
        let last = ends[1].isEmpty ? size - 1 : Int(ends[1]) ?? size - 1
        guard first < size, first <= last else { return (nil, false) }
        return (first..<min(last + 1, size), false)
    }
}
