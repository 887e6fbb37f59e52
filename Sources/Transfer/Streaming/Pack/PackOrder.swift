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
    /// Whether nobody has seen a start: what is read beside it may be guessed, too.
    public let isPredicted: Bool
    /// The blobs of the layers that it may be about.
    public let digests: Set<Digest>
    /// Gives, once, the layers that are there for it, attached; the pack is asked for meanwhile.
    public let layers: AsyncStream<[StoredLayer]>

    public init(
        location: BlobLocation, size: UInt64, opening: Task<BlobStream, any Error>? = nil, isPredicted: Bool = false,
        digests: Set<Digest>, layers: AsyncStream<[StoredLayer]>
    ) {
        self.location = location
        self.size = size
        self.opening = opening
        self.isPredicted = isPredicted
        self.digests = digests
        self.layers = layers
    }
}
