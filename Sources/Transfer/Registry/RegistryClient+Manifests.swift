import AsyncHTTPClient
public import Base
import NIOHTTP1

/// An image as ``RegistryClient/resolve(_:platform:)`` found it.
public struct ResolvedImage: Sendable, Hashable {
    public let repository: Repository
    /// The digest that the reference stood for: of the index if there is one, else of the manifest.
    public let digest: Digest
    /// The index from which the manifest was chosen.
    public let index: ImageIndex?
    public let manifest: Manifest
}

extension RegistryClient {
    /// Deepest nesting of indexes that is followed; the specifications allow indexes in indexes.
    private static let maximumIndexDepth = 3

    /// The image manifest with this digest. One request, after authentication.
    ///
    /// - Throws: `unsupportedManifest` when the digest names an index: see ``resolve(_:platform:)``.
    public func manifest(_ repository: Repository, digest: Digest) async throws(RegistryError) -> Manifest {
        switch try await document(repository, digest: digest) {
        case .image(let manifest): return manifest
        case .index:
            throw RegistryError(.unsupportedManifest, "\(repository)@\(digest) is an index, not an image manifest")
        }
    }

    /// The manifest or index with this digest; the digest has been checked.
    public func document(_ repository: Repository, digest: Digest) async throws(RegistryError) -> ManifestDocument {
        try await document(repository, reference: digest.description, digest: digest)
    }

    /// What a reference stands for, by its digest if it has one, else by its tag: an index is not followed.
    public func document(_ reference: ImageReference) async throws(RegistryError) -> ManifestDocument {
        try await rawDocument(reference).document
    }

    /// The image that a reference stands for on a platform: by its digest if it has one, else by its tag.
    ///
    /// - Parameter platform: the configured one when `nil`.
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

    /// As ``document(_:)``, with its bytes as they are.
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

    /// The document that a tag or digest stands for; `digest` is what it must have, if that is known.
    func document(
        _ repository: Repository, reference: String, digest: Digest?
    ) async throws(RegistryError) -> ManifestDocument {
        let found = try await manifestBytes(repository, reference: reference, digest: digest)
        return try ManifestDocument(
            bytes: found.bytes, digest: Digest.of(found.bytes), contentType: found.contentType)
    }

    /// As ``document(_:reference:digest:)``, not decoded.
    func manifestBytes(
        _ repository: Repository, reference: String, digest: Digest?
    ) async throws(RegistryError) -> (bytes: [UInt8], contentType: String?) {
        let call = RegistryCall(
            repository: repository, path: "/manifests/\(reference)", accept: MediaType.acceptedManifests)
        return try await requester.withHosts(repository, digest == nil ? .resolve : .pull, .demand) {
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
            // By tag, the header is the only thing to compare with; a digest of another algorithm says nothing to us.
            let expected = digest ?? response.headers.first(name: "docker-content-digest").flatMap { Digest($0) }
            guard expected == nil || expected == actual else {
                throw RegistryError(
                    .digestMismatch, "\(host) gave bytes with digest \(actual) for manifest \(repository)@\(reference)")
            }
            return (bytes, response.headers.first(name: "content-type"))
        }
    }
}
