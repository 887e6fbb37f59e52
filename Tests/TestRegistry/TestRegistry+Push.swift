public import Base
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// What it answers to those who push.
extension TestRegistry {
    /// Everything that it has under a repository, by tag or digest.
    public func manifest(_ repository: String, _ reference: String) -> [UInt8]? {
        state.withLock { $0.manifests["\(repository):\(reference)"]?.bytes }
    }

    public func hasBlob(_ digest: Digest) -> Bool {
        state.withLock { $0.blobs[digest] != nil }
    }

    func upload(_ request: RecordedRequest, _ repository: String, _ behaviour: Behaviour) -> Answer {
        switch request.method {
        case "POST":
            // Relative, and with a query of its own, as some registries have it.
            return Answer(202, ["location": "\(behaviour.prefix)/\(repository)/blobs/uploads/1?state=x"])
        case "PUT":
            guard
                let text = request.query.split(separator: "&").first(where: { $0.hasPrefix("digest=") })?.dropFirst(7),
                let digest = Digest(text), Digest.of(request.bytes) == digest, request.query.contains("state=x")
            else { return Answer(400, text: #"{"errors":[{"code":"DIGEST_INVALID"}]}"#) }
            addBlob(request.bytes)
            return Answer(201, ["location": "\(behaviour.prefix)/\(repository)/blobs/\(digest)"])
        default: return Answer(405)
        }
    }

    /// A manifest: everything that it names must be there.
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

    private struct PushedDocument: Decodable {
        struct Entry: Decodable { var digest: String }
        var artifactType: String?
        var annotations: [String: String]?
        var subject: Entry?
        var config: Entry?
        var layers: [Entry]?
    }
}
