import LayerIndex

/// Limits on a tar archive's metadata. The reader refuses larger metadata with ``LayerFormatErrorCode/limit`` before it
/// allocates memory for the excess.
public struct TarLimits: Sendable, Equatable {
    /// The maximum size in bytes of an entry's name, and of a link's target. The limit applies to the text in the
    /// archive, not to the path after ``EntryPath`` has cleaned it.
    public var pathLength = 4096
    /// The maximum size of a pax header in bytes, as in Go's archive/tar.
    public var headerBytes = 1 << 20
    /// The maximum total size in bytes of the names of one entry's extended attributes. As in listxattr(2), which has
    /// the same limit, each name counts with a final NUL.
    public var attributeNameBytes = 65_536
    /// The maximum number of entries in the archive.
    public var entryCount = IndexLimits.standard.entryCount

    /// The maximum size in bytes of a sparse file, including the zeros that the archive does not contain. A layer's
    /// content space has the same maximum size.
    public var sparseSize: UInt64 = 1 << 44
    /// The maximum number of segments in a sparse file.
    public var sparseParts = 100_000

    public init() {}

    /// The daemon's limits.
    public static let standard = TarLimits()
}
