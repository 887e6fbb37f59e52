import Artifacts
import Base
import Registry
import Streaming

/// Looks for streaming artifacts and fetches their contents.
struct ArtifactLookup: Sendable {
    /// The largest index that is fetched before the artifact's manifest vouches for it, in bytes.
    private static let maximumEarlyIndex = 2 << 20

    let registry: RegistryClient
    let finder: ArtifactFinder

    /// Returns the artifact of the image; `nil` if there is none that can be used.
    ///
    /// - Parameter announced: receives the contents that a list of referrers states, before the artifact's manifest
    ///   arrives.
    func artifact(
        of manifest: Digest, in repository: Repository, announced: (ArtifactContents) -> Void
    ) async -> StreamingArtifact? {
        await finder.artifact(repository, of: manifest, announced: announced)
    }

    /// Fetches an announced index.
    func earlyIndex(_ digest: Digest, in repository: Repository) -> Task<[UInt8], any Error> {
        Task {
            try await registry.blob(
                BlobLocation(repository: repository, digest: digest), maximumSize: Self.maximumEarlyIndex)
        }
    }

    /// Requests a startup pack. The request is canceled when its last owner releases it.
    func pack(_ digest: Digest, size: UInt64, in repository: Repository) -> PackRequest {
        PackRequest(BlobLocation(repository: repository, digest: digest), size: size, from: registry)
    }
}
