import Artifacts
import Base
import Registry

/// The large layers of an unfinished artifact, kept in the registry as separate manifests that refer to the image. A
/// later build on any machine resumes from them.
///
/// Nothing depends on them: a failure of the registry here costs time, not the artifact.
struct UnfinishedArtifact: Sendable {
    let registry: RegistryClient
    let repository: Repository
    let subject: Descriptor
    /// True if the results of others may be used; they may not if the artifact is signed.
    let isUsed: Bool

    /// Returns the finished layers, keyed by the layer's blob.
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

    /// Records a layer whose index and windows are in the registry.
    func keep(_ layer: StreamingArtifact.Layer) async {
        let artifact = StreamingArtifact(subject: subject, layers: [layer])
        guard isUsed, let bytes = try? artifact.encoded(as: StreamingArtifact.unfinishedType) else { return }
        guard (try? await registry.pushBlob(repository, StreamingArtifact.emptyConfig)) != nil else { return }
        try? await registry.pushReferrer(
            to: repository, bytes: bytes, as: artifact.descriptor(of: bytes, as: StreamingArtifact.unfinishedType),
            subject: subject.digest)
    }

    /// Deletes the records after the artifact is complete. A registry that does not allow deletion keeps them; they are
    /// harmless.
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
