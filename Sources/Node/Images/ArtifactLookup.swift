import Artifacts
import Base
import Registry
import Streaming

/// A client that finds the streaming artifacts of images, and fetches parts of them.
struct ArtifactLookup: Sendable {
    /// The maximum size, in bytes, of a layer index that is fetched before the artifact's manifest arrives and confirms
    /// the index's digest.
    private static let maximumEarlyIndex = 2 << 20

    let registry: RegistryClient
    let finder: ArtifactFinder

    /// Returns the streaming artifact of the image with this manifest digest; `nil` if the image has no usable
    /// artifact.
    ///
    /// - Parameter announced: the callback for the artifact's contents, as an annotation in the registry's list of
    ///   referrers states them. The function calls it at most once, before the artifact's manifest arrives.
    func artifact(
        of manifest: Digest, in repository: Repository, announced: (ArtifactContents) -> Void
    ) async -> StreamingArtifact? {
        await finder.artifact(repository, of: manifest, announced: announced)
    }

    /// Returns a task that fetches a layer index before the artifact's manifest arrives.
    func earlyIndex(_ digest: Digest, in repository: Repository) -> Task<[UInt8], any Error> {
        Task {
            try await registry.blob(
                BlobLocation(repository: repository, digest: digest), maximumSize: Self.maximumEarlyIndex)
        }
    }

    /// Sends a request for a startup pack. Releasing the last reference to the returned object cancels the request.
    func pack(_ digest: Digest, size: UInt64, in repository: Repository) -> PackRequest {
        PackRequest(BlobLocation(repository: repository, digest: digest), size: size, from: registry)
    }
}
