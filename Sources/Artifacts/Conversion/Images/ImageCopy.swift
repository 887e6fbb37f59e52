public import Artifacts
public import Base
import Concurrency
public import Registry

/// Copies an image into another repository of the same or another registry: every platform, byte for byte, so that its
/// digest and signatures remain valid.
public struct ImageCopy: Sendable {
    /// The progress of a copy. The totals of an index become known manifest by manifest.
    public struct Progress: Sendable {
        /// Bytes of blobs, including those that the target had.
        public var bytes: UInt64 = 0
        /// Bytes of all known blobs.
        public var totalBytes: UInt64 = 0
    }

    /// The result of a copy.
    public struct Result: Sendable, Equatable {
        /// The digest that the reference resolved to: an index's own.
        public let digest: Digest
        /// The number of image manifests.
        public let manifests: Int
        /// The bytes of blobs, each counted once.
        public let bytes: UInt64
    }

    /// The deepest accepted nesting of indexes. The specifications allow indexes in indexes.
    private static let maximumDepth = 3

    private let registry: RegistryClient
    private let blobsAtOnce: Int

    /// - Parameter blobsAtOnce: the number of a manifest's blobs copied concurrently.
    public init(_ registry: RegistryClient, blobsAtOnce: Int = 4) {
        self.registry = registry
        self.blobsAtOnce = max(1, blobsAtOnce)
    }

    /// Copies `source` to `target`, which then has the target's tag.
    ///
    /// - Throws: an ``ArtifactError`` that names the failed part. An existing tag is changed last.
    public func copy(
        _ source: ImageReference, to target: ImageReference,
        report: @escaping @Sendable (Progress) -> Void = { _ in }
    ) async throws(ArtifactError) -> Result {
        let progress = Guarded((progress: Progress(), seen: Set<Digest>(), manifests: 0))
        let change: @Sendable (UInt64, UInt64) -> Void = { bytes, total in
            report(
                progress.withLock { state in
                    state.progress.bytes += bytes
                    state.progress.totalBytes += total
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
                change(0, new.reduce(0) { $0 + $1.size })
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

    /// Copies a reference's content first, then its manifest. Returns the manifest's digest.
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
        // Blobs stored elsewhere (Windows' base layers) stay there.
        let own = descriptors.filter(\.urls.isEmpty)
        _ = try await own.concurrentMap(limit: blobsAtOnce) { descriptor throws(RegistryError) in
            try await registry.copyBlob(
                BlobLocation(repository: source, digest: descriptor.digest), size: descriptor.size, to: target,
                moved: moved)
        }
    }
}
