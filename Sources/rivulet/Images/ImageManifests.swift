import Artifacts
import Registry

/// The manifests that a reference stands for, one for each platform.
struct ImageManifests {
    let repository: Repository
    let manifests: [Manifest]

    /// Of an index, those that are for a platform: an index's attestations are not.
    init(_ reference: ImageReference, _ client: RegistryClient) async throws {
        repository = reference.repository
        switch try await client.document(reference) {
        case .image(let manifest): manifests = [manifest]
        case .index(let index):
            var found: [Manifest] = []
            for descriptor in index.manifests {
                guard let platform = descriptor.platform, platform.os == "linux" else { continue }
                found.append(try await client.manifest(repository, digest: descriptor.digest))
            }
            guard !found.isEmpty else {
                throw ArtifactError(
                    .noSupportedPlatform,
                    "NO_SUPPORTED_PLATFORM_FOUND: \(reference) has no manifest for a Linux platform: nothing to convert"
                )
            }
            manifests = found
        }
    }
}
