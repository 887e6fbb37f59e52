import AsyncHTTPClient
public import Base
import NIOCore
import NIOHTTP1

/// A manifest that a registry has taken.
public struct PushedManifest: Sendable, Hashable {
    public let digest: Digest
    /// The subject that the registry says it has understood (`OCI-Subject`): it keeps the list of referrers itself.
    public let subject: Digest?
}

/// Pushing (OCI distribution-spec 1.1, "Push"). Only to hosts that `hosts.toml` allows it to.
extension RegistryClient {
    /// Whether the repository has a blob.
    public func hasBlob(_ location: BlobLocation) async throws(RegistryError) -> Bool {
        let call = RegistryCall(repository: location.repository, method: .HEAD, path: "/blobs/\(location.digest)")
        return try await withHosts(location.repository, .push, .demand) { host throws(RegistryError) in
            let (response, _) = try await self.sendFollowing(call, to: host)
            await response.drain()
            switch response.status.code {
            case 200: return true
            case 404: return false
            default: throw StatusError.make(response, doing: "\(host) for blob \(location)", clock: self.clock)
            }
        }
    }

    /// Puts a blob into a repository, unless it is there. Gives its digest.
    @discardableResult
    public func pushBlob(_ repository: Repository, _ bytes: [UInt8]) async throws(RegistryError) -> Digest {
        let digest = Digest.of(bytes)
        let location = BlobLocation(repository: repository, digest: digest)
        if try await hasBlob(location) { return digest }
        let buffer = ByteBuffer(bytes: bytes)
        try await withHosts(repository, .push, .demand) { host throws(RegistryError) in
            try await self.upload(buffer, location, to: host)
        }
        return digest
    }

    /// A session, then all of it in one request ("POST then PUT").
    private func upload(_ bytes: ByteBuffer, _ blob: BlobLocation, to host: RegistryHost) async throws(RegistryError) {
        let begin = RegistryCall(repository: blob.repository, method: .POST, path: "/blobs/uploads/")
        let opened = try await send(begin, to: host)
        await opened.drain()
        guard opened.status == .accepted else {
            throw StatusError.make(opened, doing: "\(host) for an upload to \(blob.repository)", clock: clock)
        }
        let asked = Self.url(begin, host)
        guard let location = opened.headers.first(name: "location"),
            let target = RedirectTarget(location, from: asked, cacheControl: nil)
        else { throw RegistryError(.malformedAnswer, "\(host) begins an upload to nowhere") }
        guard target.isSecure || host.isPlain else {
            throw RegistryError(.redirectRefused, "\(host) sends an upload from https to http: \(target)")
        }
        var put = RegistryCall(repository: blob.repository, method: .PUT, path: "")
        put.body = (bytes, "application/octet-stream")
        let url = target.url + (target.url.contains("?") ? "&" : "?") + "digest=\(blob.digest)"
        // Elsewhere our credentials are none of anybody's business.
        let response =
            target.origin == RedirectTarget.origin(of: asked)
            ? try await send(put, to: host, url: url) : try await exchange(put, with: url, for: host)
        await response.drain()
        guard response.status == .created else {
            throw StatusError.make(response, doing: "\(host) for the upload of blob \(blob)", clock: clock)
        }
    }

    /// Puts a manifest or index into a repository, by a tag or by its own digest.
    public func pushManifest(
        _ repository: Repository, reference: String, mediaType: String, bytes: [UInt8]
    ) async throws(RegistryError) -> PushedManifest {
        let digest = Digest.of(bytes)
        var call = RegistryCall(repository: repository, method: .PUT, path: "/manifests/\(reference)")
        call.body = (ByteBuffer(bytes: bytes), mediaType)
        return try await withHosts(repository, .push, .demand) { [call] host throws(RegistryError) in
            self.counters.manifestRequests.add()
            let response = try await self.send(call, to: host)
            await response.drain()
            guard response.status == .created || response.status == .accepted else {
                throw StatusError.make(
                    response, doing: "\(host) for the push of manifest \(repository):\(reference)", clock: self.clock)
            }
            return PushedManifest(
                digest: digest, subject: response.headers.first(name: "oci-subject").flatMap { Digest($0) })
        }
    }

    /// Deletes a manifest by its digest; that there is none is fine.
    public func deleteManifest(_ repository: Repository, digest: Digest) async throws(RegistryError) {
        let call = RegistryCall(repository: repository, method: .DELETE, path: "/manifests/\(digest)")
        try await withHosts(repository, .push, .demand) { host throws(RegistryError) in
            let response = try await self.send(call, to: host)
            await response.drain()
            guard [200, 202, 404].contains(response.status.code) else {
                throw StatusError.make(
                    response, doing: "\(host) for the deletion of manifest \(repository)@\(digest)", clock: self.clock)
            }
        }
    }
}
