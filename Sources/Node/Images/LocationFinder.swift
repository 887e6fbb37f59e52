import Base
import ContainerRuntime
import ContentStore
import LayerIndex
import Logging
import Registry

/// The finder of further repositories of a layer's blob.
///
/// containerd does not ask the snapshotter when another image uses a chain that it knows. So the repository of that
/// image is known only to containerd: the manifest in its content store has a label for each layer, and labels that
/// name the repositories of the manifest.
final class LocationFinder: Sendable {
    private static let maximumManifests = 1024
    private static let maximumNamespaces = 64

    private let containerd: ContentClient
    private let registries: Set<String>?
    private let logger: Logger
    /// The containerd namespaces in which images were pulled or containers created. After a restart, those of CRI and
    /// of `ctr` are known.
    private let namespaces = Guarded<Set<String>>(["k8s.io", "default"])

    /// - Parameter registries: the hosts of the registries from which layers are streamed; `nil` allows all.
    init(containerd: ContentClient, registries: Set<String>?, logger: Logger) {
        self.containerd = containerd
        self.registries = registries
        self.logger = logger
    }

    /// Adds a namespace in which to look for manifests.
    func note(namespace: String?) {
        guard let namespace else { return }
        namespaces.withLock { if $0.count < Self.maximumNamespaces { $0.insert(namespace) } }
    }

    /// Returns the locations of the layer's blob in all repositories whose manifests containerd has.
    func locations(of layer: StoredLayer) async -> [BlobLocation] {
        // A copy of the blob is only in the repository of its artifact.
        guard layer.chunks.blobDigest == layer.digest else { return [] }
        var repositories: Set<Repository> = []
        for namespace in namespaces.withLock({ $0 }) {
            do {
                repositories.formUnion(try await self.repositories(of: layer.digest, namespace))
            } catch {
                logger.debug(
                    "failed to look for repositories in containerd",
                    metadata: ["layer": "\(layer.digest)", "namespace": "\(namespace)", "error": "\(error)"])
            }
        }
        // Not recorded: a manifest that names a blob does not show that its repository holds it.
        return repositories.filter { registries?.contains($0.host) ?? true }.map {
            BlobLocation(repository: $0, digest: layer.digest)
        }
    }

    private func repositories(of blob: Digest, _ namespace: String) async throws -> Set<Repository> {
        let manifests = try await containerd.connected(namespace: namespace) { session in
            // A manifest has one label for each layer.
            try await session.blobs(
                withAnyLabel: (0..<ImageDocuments.maximumLayers).map { "containerd.io/gc.ref.content.l.\($0)" },
                value: blob.description, limit: Self.maximumManifests)
        }
        return manifests.reduce(into: []) { $0.formUnion($1.repositories) }
    }
}

extension ContentSession.Blob {
    /// The repositories from which containerd fetched the blob: the labels `containerd.io/distribution.source.<host>`,
    /// whose values are lists of names.
    var repositories: Set<Repository> {
        let prefix = "containerd.io/distribution.source."
        var repositories: Set<Repository> = []
        for (label, names) in labels where label.hasPrefix(prefix) {
            for name in names.split(separator: ",") {
                let reference = try? ImageReference(parsing: "\(label.dropFirst(prefix.count))/\(name)")
                if let reference { repositories.insert(reference.repository) }
            }
        }
        return repositories
    }
}
