package import Base
import Concurrency
package import ContainerRuntime
import ContentStore
package import LayerFormats
package import Registry

/// An image in containerd's content store that claims a chain: containerd runs its containers on the chain's snapshot.
package struct ImageClaim: Sendable, Hashable {
    package let manifest: Digest
    /// The layers in the image's manifest, bottom first.
    package let layers: [LayerDescription]
    /// The diff IDs in the image's configuration, bottom first: as many as there are layers.
    package let diffIDs: [Digest]
    /// The repositories from which containerd fetched the manifest.
    package let repositories: Set<Repository>

    package init(
        manifest: Digest, layers: [LayerDescription], diffIDs: [Digest], repositories: Set<Repository>
    ) {
        self.manifest = manifest
        self.layers = layers
        self.diffIDs = diffIDs
        self.repositories = repositories
    }

    /// Returns the chain ID that the image states for its lowest `count` layers; `nil` if it has fewer.
    package func chainID(of count: Int) -> Digest? {
        guard count > 0, count <= diffIDs.count else { return nil }
        return diffIDs[..<count].reduce(nil) { ImageConfiguration.chainID(of: $1, on: $0) }
    }

    /// Returns true if layer number `index` of the image is the stored layer `key`: if the manifest itself names the
    /// blob and gives the reason to believe the layer's index, or if the layer is verified to be what the configuration
    /// states.
    func names(_ key: LayerKey, at index: Int, verified: Digest?, _ formats: LayerFormatRegistry) -> Bool {
        guard layers.indices.contains(index), diffIDs.indices.contains(index) else { return false }
        if let verified { return verified == diffIDs[index] }
        let layer = layers[index]
        guard layer.digest == key.blob else { return false }
        switch key.pin {
        case .tableOfContents(let digest, let size): return formats.pin(of: layer) == digest && layer.size == size
        case .index(_, let repository), .unverified(let repository):

            // The label names every repository of the manifest. With more than one, it is not known whose image runs.
            return !repositories.isEmpty && repositories.allSatisfy { "\($0)" == repository }
        // From a time before pins: the manifest names the blob, and no other layer of the blob is stored.
        case .inherited: return true
        }
    }
}

/// A source of the images that claim a chain.
package protocol ImageClaimSource: Sendable {
    /// The snapshotter's name in containerd's configuration.
    var snapshotter: String { get }

    /// Returns the images in `namespace` whose top chain has the ID `chainID`.
    ///
    /// `isComplete` is false if there are more images than the limit, or if a document of one cannot be read. Nobody
    /// then knows what those images name.
    func images(
        claiming chainID: Digest, namespace: String
    ) async throws(ContainerRuntimeError) -> (images: [ImageClaim], isComplete: Bool)
}

/// A finder of the images that claim a chain, in containerd's content store.
///
/// When containerd has unpacked an image, it labels the image's configuration with the ID of the top chain, because the
/// label keeps the chain's snapshots alive. The manifest, in turn, has a label that names the configuration.
final class ImageClaims: ImageClaimSource {
    /// The maximum number of images that claim one chain.
    private static let maximumImages = 256

    private let containerd: ContentClient
    let snapshotter: String
    private let documents: PulledDocuments

    init(containerd: ContentClient, snapshotter: String, documents: PulledDocuments) {
        self.containerd = containerd
        self.documents = documents
        self.snapshotter = snapshotter
    }

    func images(
        claiming chainID: Digest, namespace: String
    ) async throws(ContainerRuntimeError) -> (images: [ImageClaim], isComplete: Bool) {
        try await containerd.connected(namespace: namespace) { session in
            var claims: [ImageClaim] = []
            var isComplete = true
            do throws(ContainerRuntimeError) {
                let configurations = try await session.blobs(
                    withLabel: "containerd.io/gc.ref.snapshot.\(self.snapshotter)", value: chainID.description,
                    limit: Self.maximumImages)
                for blob in configurations {
                    let configuration = try await self.documents.configuration(blob.digest) {
                        () async throws(ContainerRuntimeError) in
                        try await session.blob(blob.digest, maximumSize: RegistryClient.maximumConfigSize)
                    }
                    guard let configuration, configuration.chainID == chainID else {
                        isComplete = false
                        continue
                    }
                    let manifests = try await session.blobs(
                        withLabel: "containerd.io/gc.ref.content.config", value: blob.digest.description,
                        limit: Self.maximumImages)
                    for blob in manifests {
                        let manifest = try await self.documents.manifest(blob.digest) {
                            () async throws(ContainerRuntimeError) in
                            try await session.blob(blob.digest, maximumSize: ManifestDocument.maximumSize)
                        }
                        guard let manifest, manifest.layers.count == configuration.diffIDs.count else {
                            isComplete = false
                            continue
                        }
                        claims.append(ImageClaim(manifest, configuration, repositories: blob.repositories))
                    }
                }
            } catch {
                guard error.code == .badContent else { throw error }
                isComplete = false
            }
            return (claims, isComplete)
        }
    }
}

extension ImageClaim {
    fileprivate init(_ manifest: Manifest, _ configuration: ImageConfiguration, repositories: Set<Repository>) {
        self.init(
            manifest: manifest.digest,
            layers: manifest.layers.map { layer in
                LayerDescription(
                    digest: layer.digest, size: layer.size, mediaType: layer.mediaType, annotations: layer.annotations)
            }, diffIDs: configuration.diffIDs, repositories: repositories)
    }
}
