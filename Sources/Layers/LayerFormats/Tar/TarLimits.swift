import LayerIndex

/// Limits on a tar archive's metadata. Whatever exceeds a limit is refused with ``LayerFormatErrorCode/limit``,
/// and no more memory than a limit says is taken to find out.
public struct TarLimits: Sendable, Equatable {
    /// Bytes in an entry's name or in a link's target, as they stand in the archive, before they are cleaned.
    public var pathLength = 4096
    /// Bytes in a pax header: what Go's archive/tar takes.
    public var headerBytes = 1 << 20
    /// Bytes in the names of an entry's extended attributes together, with a NUL each: what listxattr(2) can give.
    public var attributeNameBytes = 65_536
    /// Entries in the archive.
    public var entryCount = IndexLimits.standard.entryCount

    public init() {}

    /// The daemon's limits.
    public static let standard = TarLimits()
}
