public import Base

/// The images whose layers appear without a download: the snapshotter's view of everything below it.
///
/// The snapshotter keeps records and answers containerd. An implementation resolves images, keeps their indexes and
/// mounts their merged trees. Any call may be slow or fail: the snapshotter bounds its waits, and falls back to an
/// ordinary pull.
public protocol RemoteImages: Sendable {
    /// Makes `request`'s layer usable without its blob. Idempotent. The snapshotter makes one call at a time for a
    /// chain on a parent, and cancels it only when it takes far longer than any caller waits.
    func prepareLayer(_ request: RemoteLayerRequest) async -> RemoteLayerOutcome

    /// Prepares for an image soon: a container or a sandbox is being created. Returns at once.
    func expectImages()

    /// Returns the host path of the merged tree of `chainID`, mounted. Mounts it if necessary, without the network.
    func mountedDirectory(ofChain chainID: Digest) async throws -> String

    /// Returns true if ``mountedDirectory(ofChain:)`` has all that it needs for `chainID`. Quick: no network, no
    /// mounting.
    func isUsable(chainID: Digest) async -> Bool

    /// Deletes the chain: no snapshot holds it any more. Idempotent; a later request for the chain brings it back.
    func forget(chainID: Digest) async
}
