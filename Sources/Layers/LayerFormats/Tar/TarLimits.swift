import LayerIndex

/// Limits on a tar archive's metadata. The reader refuses larger metadata with ``LayerFormatErrorCode/limit`` before it
/// allocates memory for the excess.
public struct TarLimits: Sendable, Equatable {
    /// The most bytes in an entry's name or in a link's target, as written in the archive (before ``EntryPath`` cleans
    /// it).
    public var pathLength = 4096
    /// The most bytes in a pax header: the limit of Go's archive/tar.
    public var headerBytes = 1 << 20
    /// The most bytes in the names of one entry's extended attributes together, counting a NUL after each name: the
    /// limit of listxattr(2).
    public var attributeNameBytes = 65_536
    /// The most entries in the archive.
    public var entryCount = IndexLimits.standard.entryCount

    public init() {}

    /// The daemon's limits.
    public static let standard = TarLimits()
}
