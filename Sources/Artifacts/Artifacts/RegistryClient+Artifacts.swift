package import Base
import LayerFormats
public import Registry

extension RegistryClient {
    /// The maximum number of an image's artifacts that the client examines before it gives up.
    private static var maximumArtifacts: Int { 4 }

    /// Returns the streaming artifact of an image; `nil` if none can be used.
    ///
    /// Prefers the artifact with the newest startup pack, which has the highest generation. Among artifacts of the same
    /// generation, prefers the one with the smallest digest. The choice affects only the speed of a start.
    ///
    /// - Parameters:
    ///   - keys: the keys of trusted signers. Only artifacts that one of them has signed can be used. `nil` accepts all
    ///     artifacts.
    ///   - announced: receives the announced contents of the preferred artifact, before the client fetches its
    ///     manifest.
    ///   - refused: receives the reason why an artifact cannot be used.
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

    /// Returns the index of a layer, encoded as a ``LayerIndexBlob``. Fetches it unless the artifact's manifest
    /// contained it.
    ///
    /// - Throws: `tooLarge` if the index is larger than its descriptor says.
    public func index(
        of layer: StreamingArtifact.Layer, in repository: Repository
    ) async throws(RegistryError) -> [UInt8] {
        if let bytes = layer.indexBytes { return bytes }
        return try await blob(
            BlobLocation(repository: repository, digest: layer.index.digest),
            maximumSize: Int(clamping: min(layer.index.size, UInt64(LayerIndexBlob.maximumEncodedSize))))
    }

    private static func isBetter(_ left: Descriptor, _ right: Descriptor) -> Bool {
        let (mine, other) = (
            StreamingArtifact.generation(left.annotations), StreamingArtifact.generation(right.annotations)
        )
        return mine == other ? left.digest.hex < right.digest.hex : mine > other
    }

    /// Returns an image's configuration and the diff IDs in it. The number of diff IDs equals the number of layers in
    /// `manifest`.
    ///
    /// - Throws: `RegistryError` if the registry fails, or the numbers differ.
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
