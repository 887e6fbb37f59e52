import AsyncHTTPClient
public import Base
import NIOHTTP1

/// The result of ``RegistryClient/resolve(_:platform:)``.
public struct ResolvedImage: Sendable, Hashable {
    public let repository: Repository
    /// The digest of the document that the reference names: of ``index`` if it is not `nil`, else of ``manifest``.
    public let digest: Digest
    /// The index that the reference names; `nil` if the reference names a manifest. The index may contain ``manifest``
    /// directly, or in another index that it lists.
    public let index: ImageIndex?
    public let manifest: Manifest
}

extension RegistryClient {
    /// The maximum number of documents on the path from a reference to the image's manifest, including the manifest. An
    /// index may contain another index, so a limit of 3 permits two nested indexes.
    private static let maximumIndexDepth = 3

    /// Fetches the image manifest with this digest. If the client is already authenticated, this takes one request.
    ///
    /// - Throws: `unsupportedManifest` if the digest names an index. ``resolve(_:platform:)`` accepts an index.
    public func manifest(_ repository: Repository, digest: Digest) async throws(RegistryError) -> Manifest {
        switch try await document(repository, digest: digest) {
        case .image(let manifest): return manifest
        case .index:
            throw RegistryError(.unsupportedManifest, "\(repository)@\(digest) is an index, not an image manifest")
        }
    }

    /// Fetches the manifest or index with this digest, and verifies the digest.
    public func document(_ repository: Repository, digest: Digest) async throws(RegistryError) -> ManifestDocument {
        try await document(repository, reference: digest.description, digest: digest)
    }

    /// Fetches the document that a reference names, by digest if the reference has one, else by tag. If the document is
    /// an index, the method returns the index and fetches no manifest.
    public func document(_ reference: ImageReference) async throws(RegistryError) -> ManifestDocument {
        try await rawDocument(reference).document
    }

    /// Resolves a reference to the image for `platform`, by digest if the reference has one, else by tag.
    ///
    /// - Parameter platform: the wanted platform; `nil` means the platform of ``configuration``.
    /// - Throws: `noMatchingPlatform` if an index has no manifest for the platform.
    public func resolve(
        _ reference: ImageReference, platform: Platform? = nil
    ) async throws(RegistryError) -> ResolvedImage {
        let platform = platform ?? configuration.platform
        let repository = reference.repository
        var document = try await self.document(reference)
        var top: ImageIndex?
        for _ in 0..<Self.maximumIndexDepth {
            switch document {
            case .image(let manifest):
                return ResolvedImage(
                    repository: repository, digest: top?.digest ?? manifest.digest, index: top, manifest: manifest)
            case .index(let index):
                if top == nil { top = index }
                let chosen = try index.manifest(for: platform)
                document = try await self.document(repository, digest: chosen.digest)
            }
        }
        throw RegistryError(.invalidManifest, "\(reference): indexes are nested too deeply")
    }

    /// Fetches the same document as ``document(_:)``, and also returns its raw bytes.
    public func rawDocument(
        _ reference: ImageReference
    ) async throws(RegistryError) -> (bytes: [UInt8], document: ManifestDocument) {
        let found = try await manifestBytes(
            reference.repository, reference: reference.digest?.description ?? reference.tag ?? "latest",
            digest: reference.digest)
        let document = try ManifestDocument(
            bytes: found.bytes, digest: Digest.of(found.bytes), contentType: found.contentType)
        return (found.bytes, document)
    }

    /// Fetches the document with the given tag or digest.
    ///
    /// - Parameters:
    ///   - reference: the tag, or the text of the digest.
    ///   - digest: the expected digest; `nil` if it is unknown.
    func document(
        _ repository: Repository, reference: String, digest: Digest?
    ) async throws(RegistryError) -> ManifestDocument {
        let found = try await manifestBytes(repository, reference: reference, digest: digest)
        return try ManifestDocument(
            bytes: found.bytes, digest: Digest.of(found.bytes), contentType: found.contentType)
    }

    /// Fetches the bytes of the same document as ``document(_:reference:digest:)``, without decoding them.
    func manifestBytes(
        _ repository: Repository, reference: String, digest: Digest?
    ) async throws(RegistryError) -> (bytes: [UInt8], contentType: String?) {
        let call = RegistryCall(
            repository: repository, path: "/manifests/\(reference)", accept: MediaType.acceptedManifests)
        return try await requester.withHosts(of: repository, for: digest == nil ? .resolve : .pull, priority: .demand) {
            host throws(RegistryError) in
            self.counters.manifestRequests.add()
            let (response, _) = try await self.requester.sendFollowing(call, to: host)
            guard response.status == .ok else {
                let error = StatusError.make(
                    response, doing: "\(host) for manifest \(repository)@\(reference)", clock: self.requester.clock)
                await response.drain()
                throw error
            }
            let bytes = try await response.readBody(limit: ManifestDocument.maximumSize)
            let actual = Digest.of(bytes)
            // For a tag, we can only compare with the digest in the response's header. We ignore a digest of another
            // algorithm than SHA-256.
            let expected = digest ?? response.headers.first(name: "docker-content-digest").flatMap { Digest($0) }
            guard expected == nil || expected == actual else {
                throw RegistryError(
                    .digestMismatch, "\(host) sent bytes with digest \(actual) for manifest \(repository)@\(reference)")
            }
            return (bytes, response.headers.first(name: "content-type"))
        }
    }
}
