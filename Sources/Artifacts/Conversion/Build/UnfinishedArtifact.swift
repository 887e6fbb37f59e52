import Artifacts
import Base
import Registry

/// Large layers of an artifact that is not finished, kept in the registry as manifests of their own that refer to the image: who
/// begins anew, on whichever machine, goes on from there.
///
/// Nothing depends on them: a registry that fails here costs time, not the artifact.
struct UnfinishedArtifact: Sendable {
    let registry: RegistryClient
    let repository: Repository
    let subject: Descriptor
    /// Whether what somebody else has made may be used: it may not where the artifact is signed.
    let isUsed: Bool

    /// What has been made, by the layer's blob.
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

    /// A layer's index and windows are in the registry.
    func keep(_ layer: StreamingArtifact.Layer) async {
        let artifact = StreamingArtifact(subject: subject, layers: [layer])
        guard isUsed, let bytes = try? artifact.encoded(as: StreamingArtifact.unfinishedType) else { return }
        guard (try? await registry.pushBlob(repository, StreamingArtifact.emptyConfig)) != nil else { return }
        try? await registry.pushReferrer(
            repository, bytes, artifact.descriptor(of: bytes, as: StreamingArtifact.unfinishedType),
            subject: subject.digest)
    }

    /// The artifact is there. A registry that does not let manifests be deleted keeps them: they harm nothing.
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
