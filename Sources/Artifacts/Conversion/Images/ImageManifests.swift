public import Artifacts
public import Base
public import Registry

/// The manifests that an image reference names, one for each platform.
public struct ImageManifests: Sendable {
    public let repository: Repository
    public let manifests: [Manifest]
    /// The platform of each manifest; `nil` if the reference names a single image, not an index.
    public let platforms: [Platform]?

    /// Resolves a reference, and fetches its manifests. From an index, fetches only the manifests for Linux. This also
    /// leaves out attestations, whose platform is `unknown`.
    ///
    /// - Throws: an ``ArtifactError`` for an index without a manifest for Linux, `RegistryError` for everything else.
    public init(_ reference: ImageReference, _ client: RegistryClient) async throws {
        repository = reference.repository
        switch try await client.document(reference) {
        case .image(let manifest):
            manifests = [manifest]
            platforms = nil
        case .index(let index):
            var found: [Manifest] = []
            var platforms: [Platform] = []
            for descriptor in index.manifests {
                guard let platform = descriptor.platform, platform.os == "linux" else { continue }
                found.append(try await client.manifest(repository, digest: descriptor.digest))
                platforms.append(platform)
            }
            guard !found.isEmpty else {
                throw ArtifactError(
                    .noSupportedPlatform,
                    "NO_SUPPORTED_PLATFORM_FOUND: \(reference) has no manifest for a Linux platform: nothing to convert"
                )
            }
            manifests = found
            self.platforms = platforms
        }
    }

    /// Checks that the manifests are images that can be converted. A caller that only lists manifests does not need
    /// this check.
    ///
    /// - Throws: an ``ArtifactError`` for an artifact that is not an image, and for an image without layers.
    public func checkAreImages() throws(ArtifactError) {
        for manifest in manifests {
            let name = "\(repository)@\(manifest.digest)"
            if let type = manifest.artifactType {
                throw ArtifactError(
                    .unsupportedArtifactType,
                    "UNSUPPORTED_ARTIFACT_TYPE: \(name) is no image but an artifact of the type \(type)")
            }
            if manifest.layers.isEmpty {
                throw ArtifactError(.notRunnable, "IMAGE_NOT_RUNNABLE: \(name) has no layers")
            }
        }
    }
}
