public import Base
public import ContentStore
public import Registry

/// Where a startup pack is, and what it is for.
public struct PackOrder: Sendable {
    /// The pack.
    public let location: BlobLocation
    /// In bytes.
    public let size: UInt64
    /// The blobs of the layers that it may be about.
    public let digests: Set<Digest>
    /// Gives, once, the layers that are there for it, attached; the pack is asked for meanwhile.
    public let layers: AsyncStream<[LayerContent]>

    public init(
        location: BlobLocation, size: UInt64, digests: Set<Digest>, layers: AsyncStream<[LayerContent]>
    ) {
        self.location = location
        self.size = size
        self.digests = digests
        self.layers = layers
    }
}
