public import ContentStore
public import NodeDatabase

/// The images whose layers need no download, as the snapshotter sees them.
///
/// The snapshotter keeps records and answers containerd. An implementation resolves images, keeps their indexes and
/// mounts their merged trees. Any call may be slow or fail. The snapshotter bounds its waits and falls back to an
/// ordinary pull.
public protocol RemoteImages: Sendable {
    /// Makes the layer of `request` usable without a download of its blob. Idempotent.
    ///
    /// The snapshotter never makes two concurrent calls for the same layer of the same image on the same parent. It
    /// cancels a call only if the call takes far longer than any caller waits.
    func prepareLayer(_ request: RemoteLayerRequest) async -> RemoteLayerOutcome

    /// Prepares for an image that is likely to be pulled soon, because a container or sandbox is being created. Returns
    /// at once.
    func expectImages()

    /// Returns once a container may be created on a chain. Waits a bounded time if the chain must be verified first.
    ///
    /// - Returns: the layers that the chain's snapshots must have from now on, bottom first, because another image had
    ///   claimed the chain's ID; `nil` if the chain is right.
    /// - Throws: the reason why no container may be created: `imageMismatch` if the chain is not what containerd takes
    ///   it for; another code if that cannot be decided now.
    func admit(_ request: AdmissionRequest) async throws(FallbackReason) -> [RemoteIdentity]?

    /// Returns the host path of the merged tree of `chain`. Mounts the tree if necessary, without the network.
    ///
    /// - Throws: an error if the tree cannot be mounted.
    func mountedDirectory(ofChain chain: ChainKey) async throws -> String

    /// Returns true if this node has all that ``mountedDirectory(ofChain:)`` needs for `chain`.
    ///
    /// The call is quick: it uses no network and mounts nothing.
    func isUsable(_ chain: ChainKey) async -> Bool

    /// Deletes a chain, but not its layers. Does nothing if a snapshot or a chain above still needs the chain.
    /// Idempotent. A later ``prepareLayer(_:)`` restores the chain.
    ///
    /// - Returns: false if the chain could not be deleted. The call should then be repeated later.
    func forget(_ chain: ChainKey) async -> Bool

    /// Deletes all chains and layers that no snapshot needs. The caller makes sure that no layer is being prepared.
    ///
    /// - Returns: false if something could not be deleted yet. The call should then be repeated later.
    func sweep() async -> Bool
}
