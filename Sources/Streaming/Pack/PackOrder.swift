public import Base
public import ContentStore
public import Registry

/// Where a startup pack is, and what it is for.
public struct PackOrder: Sendable {
    /// The pack.
    public let location: BlobLocation
    /// In bytes.
    public let size: UInt64
    /// The pack as it is being asked for already; `nil` when it is not.
    public let opening: Task<BlobStream, any Error>?
    /// The blobs of the layers that it may be about.
    public let digests: Set<Digest>
    /// Gives, once, the layers that are there for it, attached; the pack is asked for meanwhile.
    public let layers: AsyncStream<[LayerContent]>

    public init(
        location: BlobLocation, size: UInt64, opening: Task<BlobStream, any Error>? = nil, digests: Set<Digest>,
        layers: AsyncStream<[LayerContent]>
    ) {
        self.location = location
        self.size = size
        self.opening = opening
        self.digests = digests
        self.layers = layers
    }
}
