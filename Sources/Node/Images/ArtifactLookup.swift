import Artifacts
import Base
import Registry
import Streaming

/// A client that looks for streaming artifacts and fetches their contents.
struct ArtifactLookup: Sendable {
    /// The largest index that is fetched before the artifact's manifest vouches for it, in bytes.
    private static let maximumEarlyIndex = 2 << 20

    let registry: RegistryClient
    let finder: ArtifactFinder

    /// Returns the streaming artifact of the image with `manifest`; `nil` if the image has no usable artifact.
    ///
    /// - Parameter announced: the callback that gets the artifact's contents as a list of referrers states them, before
    ///   the artifact's manifest arrives.
    func artifact(
        of manifest: Digest, in repository: Repository, announced: (ArtifactContents) -> Void
    ) async -> StreamingArtifact? {
        await finder.artifact(repository, of: manifest, announced: announced)
    }

    /// Returns a task that fetches an announced index.
    func earlyIndex(_ digest: Digest, in repository: Repository) -> Task<[UInt8], any Error> {
        Task {
            try await registry.blob(
                BlobLocation(repository: repository, digest: digest), maximumSize: Self.maximumEarlyIndex)
        }
    }

    /// Sends a request for a startup pack. Releasing the last reference to the request cancels it.
    func pack(_ digest: Digest, size: UInt64, in repository: Repository) -> PackRequest {
        PackRequest(BlobLocation(repository: repository, digest: digest), size: size, from: registry)
    }
}
