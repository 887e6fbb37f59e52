/// The size limits of a layer or chain. Builders and readers refuse anything larger with ``LayerIndexErrorCode/limit``
/// before they allocate memory for it.
public struct IndexLimits: Sendable, Equatable {
    /// The most names in a layer or in a merged chain, including implied parent directories.
    public var entryCount = 4_000_000
    /// The most bytes in a cleaned path and in a symbolic link's target: Linux's limit without the final NUL.
    public var pathLength = 4095
    /// The most components in a path.
    public var depth = 1024
    /// The most bytes of names, link targets and extended attributes together.
    public var metadataBytes = 1 << 30
    /// The most chunks in a layer.
    public var chunkCount = 8_000_000
    /// The most bytes in one chunk.
    public var chunkLength: UInt64 = 64 << 20
    /// The most compressed bytes in one extent.
    public var extentLength: UInt64 = 96 << 20
    /// The most bytes that one extent decodes to, up to the end of its last chunk.
    public var decodedLength: UInt64 = 128 << 20
    /// The most layers in a chain. EROFS allows about 16,000: the root directory's inode must start in the first 2 MiB
    /// of the image, after the device table with its 128 bytes for each layer.
    public var layerCount = 4096

    public init() {}

    /// The daemon's limits.
    public static let standard = IndexLimits()

    /// Returns these limits, clamped to the capacity of the file formats.
    func clamped() -> IndexLimits {
        var limits = self
        limits.entryCount = min(entryCount, 1 << 30)
        limits.pathLength = min(pathLength, TreeImage.longestLink)
        limits.metadataBytes = min(metadataBytes, 1 << 31)
        limits.chunkCount = min(chunkCount, 1 << 30)
        limits.chunkLength = min(chunkLength, 1 << 30)
        limits.extentLength = min(extentLength, 1 << 31)
        limits.decodedLength = min(decodedLength, 1 << 31)
        limits.layerCount = min(layerCount, Int(UInt16.max) - 1)
        return limits
    }

    /// The most bytes in a name: the limit of EROFS and Linux. Not adjustable.
    public static let nameLength = 255
    /// The most bytes in an extended attribute's value: the limit of an EROFS entry (Linux's is one more). Not
    /// adjustable.
    public static let extendedAttributeLength = 65_535
}
