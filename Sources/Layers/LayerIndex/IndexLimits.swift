/// The size limits of a layer or chain. Builders and readers refuse anything larger before they allocate memory for it.
public struct IndexLimits: Sendable, Equatable {
    /// The maximum number of names in a layer or in a merged chain, including implied parent directories.
    public var entryCount = 4_000_000
    /// The maximum size in bytes of a cleaned path, and of a link's target: Linux's limit without the final NUL.
    public var pathLength = 4095
    /// The maximum number of components in a path.
    public var depth = 1024
    /// The maximum total size in bytes of all names, link targets and extended attributes of a layer or merged chain.
    public var metadataBytes = 256 << 20
    /// The maximum memory in bytes that building a layer's index or a merged tree takes, as estimated from the counts
    /// and sizes of what it contains. The result is included.
    public var buildMemory = Int.max
    /// The maximum number of chunks in a layer. The same limit applies to the number of extents.
    public var chunkCount = 8_000_000
    /// The maximum size of a chunk in bytes.
    public var chunkLength: UInt64 = 64 << 20
    /// The maximum compressed size of an extent in bytes.
    public var extentLength: UInt64 = 96 << 20
    /// The maximum decoded size of an extent in bytes, up to the end of its last chunk.
    public var decodedLength: UInt64 = 128 << 20
    /// The maximum number of layers in a chain. EROFS allows about 16,000: the root directory's inode must start in the
    /// first 2 MiB of the image, after a device table with 128 bytes for each layer.
    public var layerCount = 4096

    public init() {}

    /// The daemon's limits.
    public static let standard = IndexLimits()

    /// Returns these limits, clamped to the capacity of the file formats.
    func clamped() -> IndexLimits {
        var limits = self
        limits.entryCount = min(entryCount, 1 << 30)
        limits.pathLength = min(pathLength, Self.linkLength)
        limits.metadataBytes = min(metadataBytes, 1 << 31)
        limits.chunkCount = min(chunkCount, 1 << 30)
        limits.chunkLength = min(chunkLength, 1 << 30)
        limits.extentLength = min(extentLength, 1 << 31)
        limits.decodedLength = min(decodedLength, 1 << 31)
        limits.layerCount = min(layerCount, Int(UInt16.max) - 1)
        return limits
    }

    /// The estimated peak memory in bytes for one name, without the bytes of the name: the node, its places in lists
    /// and tables, its inode and its directory entry. Arrays are twice in memory while they grow.
    static let memoryPerNode = 320
    /// The estimated peak memory for one byte of a name, a link's target or an extended attribute: twice for the arena,
    /// which grows by doubling, and once for the image.
    static let memoryPerByte = 3
    /// The estimated peak memory in bytes for one chunk.
    static let memoryPerChunk = 280
    /// The estimated peak memory in bytes for one extent.
    static let memoryPerExtent = 230

    /// The maximum size of a name in bytes: the limit of EROFS and Linux. Not adjustable.
    public static let nameLength = 255
    /// The maximum size in bytes of an extended attribute's value. Not adjustable, because EROFS stores the size in 16
    /// bits. Linux allows one byte more.
    public static let extendedAttributeLength = 65_535
    /// The maximum size of a link's target in bytes: Linux's `PATH_MAX` without the final NUL. Not adjustable.
    public static let linkLength = 4095
}
