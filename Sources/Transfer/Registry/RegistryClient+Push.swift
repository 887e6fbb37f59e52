import AsyncHTTPClient
public import Base
public import NIOCore
import NIOHTTP1

/// A manifest that a registry accepted in a push.
public struct PushedManifest: Sendable, Hashable {
    public let digest: Digest
    /// The digest of the manifest's subject, if the registry confirmed it with an `OCI-Subject` header; else `nil`. A
    /// registry that sends this header maintains the list of referrers itself.
    public let subject: Digest?
}

/// Pushes and deletions (OCI distribution-spec 1.1, "Push"). The client sends them only to hosts with the capability
/// ``RegistryHost/Capabilities/push``.
extension RegistryClient {
    /// Returns true if the repository has the blob.
    public func hasBlob(_ location: BlobLocation) async throws(RegistryError) -> Bool {
        let call = RegistryCall(repository: location.repository, method: .HEAD, path: "/blobs/\(location.digest)")
        return try await requester.withHosts(of: location.repository, for: .push, priority: .demand) {
            host throws(RegistryError) in
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

    /// Pushes a blob unless the repository already has it, and returns the blob's digest.
    @discardableResult
    public func pushBlob(_ repository: Repository, _ bytes: [UInt8]) async throws(RegistryError) -> Digest {
        let digest = Digest.of(bytes)
        let location = BlobLocation(repository: repository, digest: digest)
        if try await hasBlob(location) { return digest }
        let buffer = ByteBuffer(bytes: bytes)
        try await requester.withHosts(of: repository, for: .push, priority: .demand) { host throws(RegistryError) in
            try await self.upload(buffer, as: location, to: host)
        }
        return digest
    }

    /// Pushes a blob that may not fit into memory, unless the repository already has the blob.
    ///
    /// - Parameters:
    ///   - size: the size of the blob in bytes.
    ///   - part: returns the given range of the blob. The client asks for parts of 16 MiB in order. For another host,
    ///     or another attempt, the client starts again from the beginning of the blob.
    public func pushBlob(
        _ blob: BlobLocation, size: UInt64, part: @Sendable (ByteRange) async throws(RegistryError) -> ByteBuffer
    ) async throws(RegistryError) {
        if try await hasBlob(blob) { return }
        try await requester.withHosts(of: blob.repository, for: .push, priority: .demand) {
            host throws(RegistryError) in
            guard var session = try await self.begin(blob, at: host) else { return }
            var offset: UInt64 = 0
            while size - offset > UInt64(Self.partSize) {
                let bytes = try await part(ByteRange(offset: offset, end: offset + UInt64(Self.partSize)))
                session = try await self.go(on: session, of: blob, with: bytes, offset: offset, at: host)
                offset += UInt64(Self.partSize)
            }
            let last = try await part(ByteRange(offset: offset, end: size))
            try await self.end(session, of: blob, with: last, offset: offset > 0 ? offset : nil, at: host)
        }
    }

    /// Uploads a blob in two requests ("POST then PUT"): one opens a session, the other sends all bytes.
    private func upload(_ bytes: ByteBuffer, as blob: BlobLocation, to host: RegistryHost) async throws(RegistryError) {
        guard let session = try await begin(blob, at: host) else { return }
        try await end(session, of: blob, with: bytes, at: host)
    }

    // MARK: - Sessions

    /// An upload session: the URL to which the client sends the next part of a blob.
    private struct UploadSession {
        var target: RedirectTarget
        /// True if the target is the registry itself. We send our credentials only to such a target.
        var isOwn: Bool
    }

    /// Starts an upload session for a blob.
    ///
    /// - Parameter source: a repository of the same registry. The request asks the registry to mount the blob from this
    ///   repository ("Mounting a blob from another repository"). `nil` requests no mount.
    /// - Returns: the session, or `nil` if the registry mounted the blob, so that there is nothing to upload.
    private func begin(
        _ blob: BlobLocation, at host: RegistryHost, from source: Repository? = nil
    ) async throws(RegistryError) -> UploadSession? {
        var call = RegistryCall(repository: blob.repository, method: .POST, path: "/blobs/uploads/")
        if let source { call.path += "?mount=\(blob.digest)&from=\(source.name.percentEncoded)" }
        let opened = try await requester.send(call, to: host)
        await opened.drain()
        if source != nil, opened.status == .created { return nil }
        guard opened.status == .accepted else {
            throw StatusError.make(opened, doing: "\(host) for an upload to \(blob.repository)", clock: requester.clock)
        }
        return try session(opened, after: HostRequester.url(call, host), at: host)
    }

    private func session(
        _ response: HTTPClientResponse, after url: String, at host: RegistryHost
    ) throws(RegistryError) -> UploadSession {
        guard let location = response.headers.first(name: "location"),
            let target = RedirectTarget(location, from: url, cacheControl: nil)
        else { throw RegistryError(.malformedAnswer, "\(host) sent no usable Location for an upload") }
        guard target.isSecure || host.isPlain else {
            throw RegistryError(.redirectRefused, "\(host) redirects an upload from https to http: \(target)")
        }
        return UploadSession(target: target, isOwn: target.origin == RedirectTarget.origin(of: Self.root(host)))
    }

    /// Returns a URL with the origin (scheme, host and port) of `host`.
    private static func root(_ host: RegistryHost) -> String { "\(host.base)/" }

    /// Sends a request of the session to `url`. If the session's target is outside the registry, the request has no
    /// credentials.
    private func send(
        _ call: RegistryCall, of session: UploadSession, url: String, to host: RegistryHost
    ) async throws(RegistryError) -> HTTPClientResponse {
        let response =
            session.isOwn
            ? try await requester.send(call, to: host, url: url)
            : try await requester.exchange(call, with: url, for: host)
        await response.drain()
        return response
    }

    /// Sends a part of the blob that is not the last one ("Pushing a blob in chunks"). Returns the session for the next
    /// part.
    ///
    /// - Parameter offset: the position of the part in the blob, in bytes.
    private func go(
        on session: UploadSession, of blob: BlobLocation, with bytes: ByteBuffer, offset: UInt64, at host: RegistryHost
    ) async throws(RegistryError) -> UploadSession {
        var call = RegistryCall(repository: blob.repository, method: .PATCH, path: "")
        call.body = (bytes, "application/octet-stream")
        call.contentRange = "\(offset)-\(offset + UInt64(bytes.readableBytes) - 1)"
        let response = try await send(call, of: session, url: session.target.url, to: host)
        guard response.status == .accepted || response.status == .noContent else {
            throw StatusError.make(response, doing: "\(host) for a part of blob \(blob)", clock: requester.clock)
        }
        return try self.session(response, after: session.target.url, at: host)
    }

    /// Sends the last part together with the digest of the blob.
    ///
    /// - Parameter offset: the position of the part in the blob, in bytes; `nil` if the blob has only one part.
    private func end(
        _ session: UploadSession, of blob: BlobLocation, with bytes: ByteBuffer, offset: UInt64? = nil,
        at host: RegistryHost
    ) async throws(RegistryError) {
        var call = RegistryCall(repository: blob.repository, method: .PUT, path: "")
        call.body = (bytes, "application/octet-stream")
        if let offset, bytes.readableBytes > 0 {
            call.contentRange = "\(offset)-\(offset + UInt64(bytes.readableBytes) - 1)"
        }
        let url = session.target.url + (session.target.url.contains("?") ? "&" : "?") + "digest=\(blob.digest)"
        let response = try await send(call, of: session, url: url, to: host)
        guard response.status == .created else {
            throw StatusError.make(response, doing: "\(host) for the upload of blob \(blob)", clock: requester.clock)
        }
    }

    // MARK: - Copying

    /// The size of each part except the last, in bytes. A part of ``copyBlob(_:size:to:moved:)`` may be slightly
    /// larger.
    private static let partSize = 16 << 20

    /// Copies a blob into `repository`, which may be on another registry. The client copies no bytes if `repository`
    /// already has the blob. It also copies no bytes if the source is on the same registry and the registry can mount
    /// the blob from there.
    ///
    /// The target registry verifies the digest. The client keeps about one part of 16 MiB in memory.
    ///
    /// - Parameter moved: called with the number of bytes in each buffer that arrives from the source. A retry copies
    ///   from the beginning and reports all bytes again. If the client copies no bytes, it calls `moved` once, with the
    ///   blob's size.
    public func copyBlob(
        _ source: BlobLocation, size: UInt64, to repository: Repository, moved: @Sendable (Int) -> Void
    ) async throws(RegistryError) {
        let blob = BlobLocation(repository: repository, digest: source.digest)
        if try await hasBlob(blob) { return moved(Int(clamping: size)) }
        let isNear = source.repository.host == repository.host
        try await requester.withHosts(of: repository, for: .push, priority: .demand) { host throws(RegistryError) in
            guard var session = try await self.begin(blob, at: host, from: isNear ? source.repository : nil) else {
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
                    session = try await self.go(on: session, of: blob, with: part, offset: offset, at: host)
                    offset += UInt64(part.readableBytes)
                    part.clear()
                }
            }
            try await self.end(session, of: blob, with: part, offset: offset > 0 ? offset : nil, at: host)
        }
    }

    // MARK: - Manifests

    /// Pushes a manifest or index under `reference`: a tag, or the digest of `bytes`.
    public func pushManifest(
        _ repository: Repository, reference: String, mediaType: String, bytes: [UInt8]
    ) async throws(RegistryError) -> PushedManifest {
        let digest = Digest.of(bytes)
        var call = RegistryCall(repository: repository, method: .PUT, path: "/manifests/\(reference)")
        call.body = (ByteBuffer(bytes: bytes), mediaType)
        return try await requester.withHosts(of: repository, for: .push, priority: .demand) {
            [call] host throws(RegistryError) in
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

    /// Deletes a manifest by its digest. A missing manifest is not an error.
    public func deleteManifest(_ repository: Repository, digest: Digest) async throws(RegistryError) {
        let call = RegistryCall(repository: repository, method: .DELETE, path: "/manifests/\(digest)")
        try await requester.withHosts(of: repository, for: .push, priority: .demand) { host throws(RegistryError) in
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
