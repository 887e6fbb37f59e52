public import Artifacts
public import Base
import Concurrency
public import Registry

/// A copier of images into another repository, on the same or another registry. It copies every platform byte for byte,
/// so the image keeps its digest, and signatures over that digest remain valid.
public struct ImageCopy: Sendable {
    /// The progress of a copy. While the copier works through an index, the total grows with each manifest that it
    /// reads.
    public struct Progress: Sendable {
        /// The number of copied bytes of blobs, including blobs that the target already had.
        public var bytes: UInt64 = 0
        /// The number of bytes of all known blobs.
        public var totalBytes: UInt64 = 0
    }

    /// The result of a copy.
    public struct Result: Sendable, Equatable {
        /// The digest that the source reference resolved to. For an index, it is the digest of the index itself.
        public let digest: Digest
        /// The number of copied image manifests.
        public let manifests: Int
        /// The total size of the blobs in bytes, with each blob counted once.
        public let bytes: UInt64
    }

    /// The maximum nesting depth of indexes. The specifications allow indexes in indexes.
    private static let maximumDepth = 3

    private let registry: RegistryClient
    private let blobsAtOnce: Int

    /// - Parameter blobsAtOnce: the number of blobs of a manifest that are copied concurrently.
    public init(_ registry: RegistryClient, blobsAtOnce: Int = 4) {
        self.registry = registry
        self.blobsAtOnce = max(1, blobsAtOnce)
    }

    /// Copies `source` to `target`, and sets the target's tag last. A failed copy leaves an existing tag unchanged.
    ///
    /// - Throws: an ``ArtifactError``: `registry` if a registry fails, `invalid` if indexes are nested too deeply, and
    ///   `internal` for everything else.
    public func copy(
        _ source: ImageReference, to target: ImageReference,
        report: @escaping @Sendable (Progress) -> Void = { _ in }
    ) async throws(ArtifactError) -> Result {
        let progress = Guarded((progress: Progress(), seen: Set<Digest>(), manifests: 0))
        let change: @Sendable (UInt64, UInt64) -> Void = { bytes, total in
            report(
                progress.withLock { state in
                    state.progress.bytes = [state.progress.bytes, bytes].saturatingSum()
                    state.progress.totalBytes = [state.progress.totalBytes, total].saturatingSum()
                    return state.progress
                })
        }
        do {
            let digest = try await copy(
                source, to: target.repository, tag: target.tag, depth: 0
            ) { descriptors in
                let new = progress.withLock { state in
                    state.manifests += 1
                    return descriptors.filter { state.seen.insert($0.digest).inserted }
                }
                // Blobs with URLs are not copied.
                change(0, new.filter(\.urls.isEmpty).map(\.size).saturatingSum())
                try await self.copyBlobs(new, from: source.repository, to: target.repository) { change(UInt64($0), 0) }
            }
            return progress.withLock {
                Result(digest: digest, manifests: $0.manifests, bytes: $0.progress.totalBytes)
            }
        } catch let error as ArtifactError {
            throw error
        } catch let error as RegistryError {
            throw ArtifactError(registry: error, "cannot copy \(source) to \(target.repository)")
        } catch {
            throw ArtifactError(.internal, "cannot copy \(source) to \(target.repository): \(error)", cause: error)
        }
    }

    /// Copies a manifest or an index to `target`, after everything to which it refers. Returns its digest.
    ///
    /// - Parameters:
    ///   - tag: the tag to set in `target`; `nil` for none.
    ///   - depth: the nesting depth: 0 for the image that is copied, 1 for a document in its index, and so on.
    ///   - blobs: copies the blobs of one manifest.
    private func copy(
        _ source: ImageReference, to target: Repository, tag: String?, depth: Int,
        _ blobs: ([Descriptor]) async throws -> Void
    ) async throws -> Digest {
        let (bytes, document) = try await registry.rawDocument(source)
        switch document {
        case .image(let manifest):
            try await blobs([manifest.config] + manifest.layers)
        case .index(let index):
            guard depth < Self.maximumDepth else {
                throw ArtifactError(.invalid, "\(source): indexes are nested too deeply")
            }
            for descriptor in index.manifests {
                _ = try await copy(
                    ImageReference(repository: source.repository, digest: descriptor.digest), to: target, tag: nil,
                    depth: depth + 1, blobs)
            }
        }
        let digest = Digest.of(bytes)
        _ = try await registry.pushManifest(
            target, reference: tag ?? digest.description, mediaType: document.mediaType, bytes: bytes)
        return digest
    }

    private func copyBlobs(
        _ descriptors: [Descriptor], from source: Repository, to target: Repository,
        moved: @escaping @Sendable (Int) -> Void
    ) async throws {
        // Blobs with URLs (Windows base layers) are stored outside the registry, so they are not copied.
        let own = descriptors.filter(\.urls.isEmpty)
        _ = try await own.concurrentMap(limit: blobsAtOnce) { descriptor throws(RegistryError) in
            try await registry.copyBlob(
                BlobLocation(repository: source, digest: descriptor.digest), size: descriptor.size, to: target,
                moved: moved)
        }
    }
}
