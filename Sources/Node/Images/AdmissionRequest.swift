public import Base
public import ContentStore

/// The request to create a container on a chain.
public struct AdmissionRequest: Sendable {
    public var chain: ChainKey
    /// The ID under which containerd knows the chain; `nil` if no label says it.
    public var chainID: Digest?
    /// The ID of the container's whole image. It is another one than ``chainID`` if downloaded layers lie above the
    /// chain; `nil` if no label says it.
    public var topChainID: Digest?
    /// The containerd namespace of the container; `nil` if the snapshot's key does not name it.
    public var namespace: String?

    public init(chain: ChainKey, chainID: Digest?, topChainID: Digest?, namespace: String?) {
        self.chain = chain
        self.chainID = chainID
        self.topChainID = topChainID
        self.namespace = namespace
    }
}
