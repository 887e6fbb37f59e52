import Artifacts
import Base
import Registry

/// The finished large layers of an unfinished streaming artifact. The registry keeps a record of each such layer: a
/// manifest that refers to the image. A later build on any machine reuses the recorded layers.
///
/// The records are optional, so all functions ignore errors of the registry. Without a record, a later build only takes
/// longer.
struct UnfinishedArtifact: Sendable {
    let registry: RegistryClient
    let repository: Repository
    let subject: Descriptor
    /// True if the builder may reuse and record finished layers. False if the builder signs the artifact. Such a
    /// builder signs only data that it has built itself, and another builder may have recorded a layer.
    let isUsed: Bool

    /// Returns the recorded layers, keyed by the digests of their blobs.
    func layers() async -> [Digest: StreamingArtifact.Layer] {
        guard isUsed else { return [:] }
        var found: [Digest: StreamingArtifact.Layer] = [:]
        for descriptor in await listed() {
            guard let manifest = try? await registry.manifest(repository, digest: descriptor.digest),
                let artifact = try? StreamingArtifact(
                    manifest, subject: subject.digest, type: StreamingArtifact.unfinishedType)
            else { continue }
            for layer in artifact.layers { found[layer.blob] = layer }
        }
        return found
    }

    /// Records a finished layer in the registry. All blobs to which the record refers must already be there.
    func keep(_ layer: StreamingArtifact.Layer) async {
        let artifact = StreamingArtifact(subject: subject, layers: [layer])
        guard isUsed, let bytes = try? artifact.encoded(as: StreamingArtifact.unfinishedType) else { return }
        guard (try? await registry.pushBlob(repository, StreamingArtifact.emptyConfig)) != nil else { return }
        try? await registry.pushReferrer(
            to: repository, bytes: bytes, as: artifact.descriptor(of: bytes, as: StreamingArtifact.unfinishedType),
            subject: subject.digest)
    }

    /// Deletes the records of the finished layers. The caller does this once the artifact is complete. If the registry
    /// does not allow deletion, the records stay, which does no harm.
    func forget() async {
        for descriptor in await listed() {
            try? await registry.deleteReferrer(repository, digest: descriptor.digest, subject: subject.digest)
        }
    }

    private func listed() async -> [Descriptor] {
        (try? await registry.referrers(
            repository, of: subject.digest, artifactType: StreamingArtifact.unfinishedType)) ?? []
    }
}
