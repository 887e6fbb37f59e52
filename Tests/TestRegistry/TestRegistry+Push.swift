public import Base
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// The server's part of pushes, referrers and tags.
extension TestRegistry {
    /// Returns the bytes of a manifest by tag or digest, or `nil` if the repository does not have it.
    public func manifest(_ repository: String, _ reference: String) -> [UInt8]? {
        state.withLock { $0.manifests["\(repository):\(reference)"]?.bytes }
    }

    public func hasBlob(_ digest: Digest) -> Bool {
        state.withLock { $0.blobs[digest] != nil }
    }

    func upload(_ request: RecordedRequest, _ repository: String, _ behaviour: Behaviour) -> Answer {
        switch request.method {
        case "POST" where request.query.contains("mount="):
            let digest = request.query.split(separator: "&").first { $0.hasPrefix("mount=") }.flatMap {
                Digest($0.dropFirst(6))
            }
            guard let digest, behaviour.mounts, hasBlob(digest) else { fallthrough }
            return Answer(201, ["location": "\(behaviour.prefix)/\(repository)/blobs/\(digest)"])
        case "POST":
            // As in some registries, the location is relative and has its own query.
            return Answer(202, ["location": "\(behaviour.prefix)/\(repository)/blobs/uploads/1?state=x"])
        case "PUT":
            guard
                let text = request.query.split(separator: "&").first(where: { $0.hasPrefix("digest=") })?.dropFirst(7),
                let digest = Digest(text), request.query.contains("state=x"),
                let whole = join(request, repository), Digest.of(whole) == digest
            else { return Answer(400, text: #"{"errors":[{"code":"DIGEST_INVALID"}]}"#) }
            state.withLock { $0.parts[repository] = nil }
            addBlob(whole)
            return Answer(201, ["location": "\(behaviour.prefix)/\(repository)/blobs/\(digest)"])
        case "PATCH":
            guard let whole = join(request, repository) else { return Answer(416) }
            state.withLock { $0.parts[repository] = whole }
            return Answer(202, ["location": "\(behaviour.prefix)/\(repository)/blobs/uploads/1?state=x"])
        default: return Answer(405)
        }
    }

    /// Returns the blob's bytes so far, including this request's part, or `nil` if the part does not continue the
    /// earlier ones. A repository has one upload at a time.
    private func join(_ request: RecordedRequest, _ repository: String) -> [UInt8]? {
        let before = state.withLock { $0.parts[repository] } ?? []
        if let range = request.header("content-range") {
            guard range == "\(before.count)-\(before.count + request.bytes.count - 1)" else { return nil }
        }
        return before + request.bytes
    }

    /// Stores a pushed manifest if every blob that it names exists.
    func take(
        _ request: RecordedRequest, _ repository: String, _ reference: String, _ behaviour: Behaviour
    ) -> Answer {
        guard let document = try? JSONDecoder().decode(PushedDocument.self, from: Data(request.bytes)) else {
            return Answer(400, text: #"{"errors":[{"code":"MANIFEST_INVALID"}]}"#)
        }
        for blob in (document.layers ?? []) + (document.config.map { [$0] } ?? []) {
            guard Digest(blob.digest).map({ hasBlob($0) }) == true else {
                return Answer(400, text: #"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#)
            }
        }
        let digest = addManifest(
            request.bytes, mediaType: request.header("content-type") ?? "", repository: repository,
            tag: Digest(reference) == nil ? reference : nil)
        guard Digest(reference) == nil || Digest(reference) == digest else { return Answer(400) }
        var headers: HTTPHeaders = ["docker-content-digest": digest.description]
        if behaviour.hasReferrers, let subject = document.subject {
            headers.add(name: "oci-subject", value: subject.digest)
        }
        return Answer(201, headers)
    }

    func delete(_ repository: String, _ reference: String) -> Answer {
        let isThere = state.withLock { state -> Bool in
            guard let gone = state.manifests.removeValue(forKey: "\(repository):\(reference)") else { return false }
            state.manifests = state.manifests.filter { $0.value.bytes != gone.bytes }
            return true
        }
        return Answer(isThere ? 202 : 404)
    }

    func referrers(
        _ request: RecordedRequest, _ repository: String, _ subject: Digest, _ behaviour: Behaviour
    ) -> Answer {
        guard behaviour.hasReferrers else { return Answer(404, text: "page not found") }
        let found = state.withLock { state -> [String] in
            let known = state.manifests.filter { $0.key == "\(repository):\(Digest.of($0.value.bytes))" }
            return known.values.compactMap { stored in
                guard let document = try? JSONDecoder().decode(PushedDocument.self, from: Data(stored.bytes)),
                    document.subject?.digest == subject.description
                else { return nil }
                return #"{"mediaType":\#(JSON.string(stored.mediaType)),"digest":"\#(Digest.of(stored.bytes))","#
                    + #""size":\#(stored.bytes.count),"artifactType":\#(JSON.string(document.artifactType ?? "")),"#
                    + #""annotations":\#(JSON.object(document.annotations ?? [:]))}"#
            }
        }.sorted()
        let last =
            request.query.split(separator: "&").first { $0.hasPrefix("last=") }.flatMap { Int($0.dropFirst(5)) } ?? 0
        let page = found.dropFirst(last).prefix(behaviour.referrersPage)
        var headers: HTTPHeaders = ["content-type": "application/vnd.oci.image.index.v1+json"]
        if last + page.count < found.count {
            headers.add(
                name: "link",
                value:
                    "<\(behaviour.prefix)/\(repository)/referrers/\(subject)?last=\(last + page.count)>; rel=\"next\"")
        }
        return Answer(
            200, headers,
            text: #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":["#
                + page.joined(separator: ",") + "]}")
    }

    /// Lists the tags in byte order, in pages of the same length as those of referrers.
    func tags(_ request: RecordedRequest, _ repository: String, _ behaviour: Behaviour) -> Answer {
        let prefix = "\(repository):"
        let all = state.withLock { state in
            state.manifests.keys.filter { $0.hasPrefix(prefix) && !$0.contains("sha256:") }.sorted()
        }.map { String($0.dropFirst(prefix.count)) }
        guard !all.isEmpty else { return Answer(404, text: #"{"errors":[{"code":"NAME_UNKNOWN"}]}"#) }
        let last = request.query.split(separator: "&").first { $0.hasPrefix("last=") }?.dropFirst(5) ?? ""
        let page = all.drop { !last.isEmpty && $0 <= last }.prefix(behaviour.referrersPage)
        var headers: HTTPHeaders = ["content-type": "application/json"]
        if let end = page.last, end != all.last {
            headers.add(
                name: "link",
                value: "<\(behaviour.prefix)/\(repository)/tags/list?n=1000&last=\(end)>; rel=\"next\"")
        }
        return Answer(
            200, headers,
            text: #"{"name":"\#(repository)","tags":["# + page.map(JSON.string).joined(separator: ",") + "]}")
    }

    private struct PushedDocument: Decodable {
        struct Entry: Decodable { var digest: String }
        var artifactType: String?
        var annotations: [String: String]?
        var subject: Entry?
        var config: Entry?
        var layers: [Entry]?
    }
}
