import AsyncHTTPClient
public import Base
public import NIOCore
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
        return try await requester.withHosts(location.repository, .push, .demand) { host throws(RegistryError) in
            let (response, _) = try await self.requester.sendFollowing(call, to: host)
            await response.drain()
            switch response.status.code {
            case 200: return true
            case 404: return false
            default:
                throw StatusError.make(response, doing: "\(host) for blob \(location)", clock: self.requester.clock)
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
        try await requester.withHosts(repository, .push, .demand) { host throws(RegistryError) in
            try await self.upload(buffer, location, to: host)
        }
        return digest
    }

    /// Puts a blob that need not fit into memory into a repository, unless it is there.
    ///
    /// - Parameter part: gives bytes of it; asked for parts of 16 MiB in order, and again from the start when another host is
    ///   tried.
    public func pushBlob(
        _ blob: BlobLocation, size: UInt64, part: @Sendable (ByteRange) async throws(RegistryError) -> ByteBuffer
    ) async throws(RegistryError) {
        if try await hasBlob(blob) { return }
        try await requester.withHosts(blob.repository, .push, .demand) { host throws(RegistryError) in
            guard var session = try await self.begin(blob, host) else { return }
            var offset: UInt64 = 0
            while size - offset > UInt64(Self.partSize) {
                let bytes = try await part(ByteRange(offset: offset, end: offset + UInt64(Self.partSize)))
                session = try await self.go(on: session, blob, bytes, offset: offset, host)
                offset += UInt64(Self.partSize)
            }
            let last = try await part(ByteRange(offset: offset, end: size))
            try await self.end(session, blob, last, offset: offset > 0 ? offset : nil, host)
        }
    }

    /// A session, then all of it in one request ("POST then PUT").
    private func upload(_ bytes: ByteBuffer, _ blob: BlobLocation, to host: RegistryHost) async throws(RegistryError) {
        guard let session = try await begin(blob, host) else { return }
        try await end(session, blob, bytes, host)
    }

    // MARK: - Sessions

    /// Where the next part of an upload goes.
    private struct UploadSession {
        var target: RedirectTarget
        /// Whether that is the registry itself, which is shown our credentials.
        var isOwn: Bool
    }

    /// Begins an upload, or has the registry take the blob from another of its repositories ("Mounting a blob from another
    /// repository"): `nil` when it did.
    private func begin(
        _ blob: BlobLocation, _ host: RegistryHost, from source: Repository? = nil
    ) async throws(RegistryError) -> UploadSession? {
        var call = RegistryCall(repository: blob.repository, method: .POST, path: "/blobs/uploads/")
        if let source { call.path += "?mount=\(blob.digest)&from=\(source.name.percentEncoded)" }
        let opened = try await requester.send(call, to: host)
        await opened.drain()
        if source != nil, opened.status == .created { return nil }
        guard opened.status == .accepted else {
            throw StatusError.make(opened, doing: "\(host) for an upload to \(blob.repository)", clock: requester.clock)
        }
        return try session(opened, after: HostRequester.url(call, host), host)
    }

    private func session(
        _ response: HTTPClientResponse, after url: String, _ host: RegistryHost
    ) throws(RegistryError) -> UploadSession {
        guard let location = response.headers.first(name: "location"),
            let target = RedirectTarget(location, from: url, cacheControl: nil)
        else { throw RegistryError(.malformedAnswer, "\(host) sends an upload to nowhere") }
        guard target.isSecure || host.isPlain else {
            throw RegistryError(.redirectRefused, "\(host) sends an upload from https to http: \(target)")
        }
        return UploadSession(target: target, isOwn: target.origin == RedirectTarget.origin(of: Self.root(host)))
    }

    /// Any URL of the host.
    private static func root(_ host: RegistryHost) -> String { "\(host.base)/" }

    /// Sends a part to where the session says. Elsewhere our credentials are none of anybody's business.
    private func send(
        _ call: RegistryCall, _ session: UploadSession, url: String, _ host: RegistryHost
    ) async throws(RegistryError) -> HTTPClientResponse {
        let response =
            session.isOwn
            ? try await requester.send(call, to: host, url: url)
            : try await requester.exchange(call, with: url, for: host)
        await response.drain()
        return response
    }

    /// Sends a part that is not the last ("Pushing a blob in chunks"); `offset` is where in the blob it lies.
    private func go(
        on session: UploadSession, _ blob: BlobLocation, _ bytes: ByteBuffer, offset: UInt64, _ host: RegistryHost
    ) async throws(RegistryError) -> UploadSession {
        var call = RegistryCall(repository: blob.repository, method: .PATCH, path: "")
        call.body = (bytes, "application/octet-stream")
        call.contentRange = "\(offset)-\(offset + UInt64(bytes.readableBytes) - 1)"
        let response = try await send(call, session, url: session.target.url, host)
        guard response.status == .accepted || response.status == .noContent else {
            throw StatusError.make(response, doing: "\(host) for a part of blob \(blob)", clock: requester.clock)
        }
        return try self.session(response, after: session.target.url, host)
    }

    /// Sends the last part, and says what all of it is.
    private func end(
        _ session: UploadSession, _ blob: BlobLocation, _ bytes: ByteBuffer, offset: UInt64? = nil, _ host: RegistryHost
    ) async throws(RegistryError) {
        var call = RegistryCall(repository: blob.repository, method: .PUT, path: "")
        call.body = (bytes, "application/octet-stream")
        if let offset, bytes.readableBytes > 0 {
            call.contentRange = "\(offset)-\(offset + UInt64(bytes.readableBytes) - 1)"
        }
        let url = session.target.url + (session.target.url.contains("?") ? "&" : "?") + "digest=\(blob.digest)"
        let response = try await send(call, session, url: url, host)
        guard response.status == .created else {
            throw StatusError.make(response, doing: "\(host) for the upload of blob \(blob)", clock: requester.clock)
        }
    }

    // MARK: - Copying

    /// What of a blob is sent in one request, in bytes.
    private static let partSize = 16 << 20

    /// Brings a blob from one repository into another, which may be in another registry, unless it is there. The registry that
    /// takes it checks its digest; what is in memory of it is a part of 16 MiB.
    ///
    /// - Parameter moved: called with bytes as they go.
    public func copyBlob(
        _ source: BlobLocation, size: UInt64, to repository: Repository, moved: @Sendable (Int) -> Void
    ) async throws(RegistryError) {
        let blob = BlobLocation(repository: repository, digest: source.digest)
        if try await hasBlob(blob) { return moved(Int(clamping: size)) }
        let isNear = source.repository.host == repository.host
        try await requester.withHosts(repository, .push, .demand) { host throws(RegistryError) in
            guard var session = try await self.begin(blob, host, from: isNear ? source.repository : nil) else {
                return moved(Int(clamping: size))
            }
            var part = ByteBuffer()
            var offset: UInt64 = 0
            if size > 0 {
                let stream = try await self.open(source, .whole, priority: .background, knownSize: size)
                for try await buffer in stream {
                    var buffer = buffer
                    moved(buffer.readableBytes)
                    part.writeBuffer(&buffer)
                    guard part.readableBytes >= Self.partSize else { continue }
                    session = try await self.go(on: session, blob, part, offset: offset, host)
                    offset += UInt64(part.readableBytes)
                    part.clear()
                }
            }
            try await self.end(session, blob, part, offset: offset > 0 ? offset : nil, host)
        }
    }

    // MARK: - Manifests

    /// Puts a manifest or index into a repository, by a tag or by its own digest.
    public func pushManifest(
        _ repository: Repository, reference: String, mediaType: String, bytes: [UInt8]
    ) async throws(RegistryError) -> PushedManifest {
        let digest = Digest.of(bytes)
        var call = RegistryCall(repository: repository, method: .PUT, path: "/manifests/\(reference)")
        call.body = (ByteBuffer(bytes: bytes), mediaType)
        return try await requester.withHosts(repository, .push, .demand) { [call] host throws(RegistryError) in
            self.counters.manifestRequests.add()
            let response = try await self.requester.send(call, to: host)
            await response.drain()
            guard response.status == .created || response.status == .accepted else {
                throw StatusError.make(
                    response, doing: "\(host) for the push of manifest \(repository):\(reference)",
                    clock: self.requester.clock)
            }
            return PushedManifest(
                digest: digest, subject: response.headers.first(name: "oci-subject").flatMap { Digest($0) })
        }
    }

    /// Deletes a manifest by its digest; that there is none is fine.
    public func deleteManifest(_ repository: Repository, digest: Digest) async throws(RegistryError) {
        let call = RegistryCall(repository: repository, method: .DELETE, path: "/manifests/\(digest)")
        try await requester.withHosts(repository, .push, .demand) { host throws(RegistryError) in
            let response = try await self.requester.send(call, to: host)
            await response.drain()
            guard [200, 202, 404].contains(response.status.code) else {
                throw StatusError.make(
                    response, doing: "\(host) for the deletion of manifest \(repository)@\(digest)",
                    clock: self.requester.clock)
            }
        }
    }
}
