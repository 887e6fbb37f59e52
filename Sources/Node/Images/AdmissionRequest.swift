public import Base
public import ContentStore

/// The request to create a container on a chain.
public struct AdmissionRequest: Sendable {
    public var chain: ChainKey
    /// The ID under which containerd knows the chain; `nil` if no label says it.
    public var chainID: Digest?
    /// The IDs that the chain of the container's whole image may have. They are other ones than ``chainID`` if local
    /// snapshots lie above the chain: downloaded layers, or a copy of the image for other owners.
    public var topChainIDs: [Digest]
    /// The containerd namespace of the container; `nil` if the snapshot's key does not name it.
    public var namespace: String?

    public init(chain: ChainKey, chainID: Digest?, topChainIDs: [Digest], namespace: String?) {
        self.chain = chain
        self.chainID = chainID
        self.topChainIDs = topChainIDs
        self.namespace = namespace
    }
}
