package import Base
import LayerFormats
public import Registry

extension RegistryClient {
    /// So many artifacts are looked at before an image is taken to have none.
    private static var maximumArtifacts: Int { 4 }

    /// The streaming artifact of an image: of several that can be used the one whose startup pack is of the highest generation,
    /// and of several of these the one with the smallest digest. They differ at most in how good they are.
    ///
    /// - Parameters:
    ///   - keys: only what one of them has signed can be used; `nil` for whatever the registry has.
    ///   - announced: given what the one that is looked at first says that it holds, before it is here.
    ///   - refused: told why one cannot be used.
    package func artifact(
        _ repository: Repository, of image: Digest, signedBy keys: ArtifactKeys? = nil,
        announced: (ArtifactContents) -> Void = { _ in },
        refused: (ArtifactError) -> Void = { _ in }
    ) async throws(RegistryError) -> (digest: Digest, artifact: StreamingArtifact)? {
        let found = try await referrers(repository, of: image, artifactType: StreamingArtifact.artifactType)
            .sorted(by: Self.isBetter)
        if let contents = found.first.flatMap({ ArtifactContents($0) }) { announced(contents) }
        for descriptor in found.prefix(Self.maximumArtifacts) {
            let document = try await manifest(repository, digest: descriptor.digest)
            do throws(ArtifactError) {
                let artifact = try StreamingArtifact(document, subject: image)
                guard keys?.haveSigned(artifact) != false else {
                    throw ArtifactError(
                        .untrusted, "artifact \(descriptor.digest) is not signed by a key of [trust] artifact_keys")
                }
                return (descriptor.digest, artifact)
            } catch {
                refused(error)
            }
        }
        return nil
    }

    /// The index of a layer: a ``LayerIndexBlob``.
    public func index(
        of layer: StreamingArtifact.Layer, in repository: Repository
    ) async throws(RegistryError) -> [UInt8] {
        if let bytes = layer.indexBytes { return bytes }
        return try await blob(
            BlobLocation(repository: repository, digest: layer.index.digest),
            maximumSize: LayerIndexBlob.maximumEncodedSize)
    }

    private static func isBetter(_ left: Descriptor, _ right: Descriptor) -> Bool {
        let (mine, other) = (
            StreamingArtifact.generation(left.annotations), StreamingArtifact.generation(right.annotations)
        )
        return mine == other ? left.digest.hex < right.digest.hex : mine > other
    }

    /// An image's configuration, which names as many archives as the image has layers.
    package func configuration(
        of manifest: Manifest, in repository: Repository
    ) async throws(RegistryError) -> (bytes: [UInt8], diffIDs: [Digest]) {
        let bytes = try await blob(
            BlobLocation(repository: repository, digest: manifest.config.digest), maximumSize: Self.maximumConfigSize)
        let diffIDs = try ImageConfiguration(bytes: bytes).diffIDs
        guard diffIDs.count == manifest.layers.count else {
            throw RegistryError(
                .invalidManifest,
                "the configuration names \(diffIDs.count) layers and the manifest \(manifest.layers.count)")
        }
        return (bytes, diffIDs)
    }
}
