public import Base

/// The planner's view of a layer: the places of its extents in the blob, and which of them are in the store.
///
/// Extents are numbered from 0 in the order of their places in the blob, and do not overlap. Calls are cheap (a lookup
/// in a mapped table) and never block; the planner makes them with its lock held.
public protocol ExtentMap: Sendable {
    /// The number of extents in the layer.
    var extentCount: Int { get }

    /// Returns the range of the blob that holds extent number `extent`, which must be less than ``extentCount``.
    func blobRange(of extent: Int) -> ByteRange

    /// Returns whether every chunk of the extent is in the store or consists of zeros.
    func isPresent(_ extent: Int) -> Bool

    /// True if an extent may hold several files that are adjacent in the archive. A fetch of one file then brings
    /// adjacent files without any speculation.
    var extentsSpanFiles: Bool { get }

    /// Returns whether a file begins in the extent, as far as the chunk table shows. Read-ahead beyond the beginning of
    /// another file is smaller, so a wrong answer only wastes bytes.
    func beginsFile(_ extent: Int) -> Bool
}

extension ExtentMap {
    public var extentsSpanFiles: Bool { false }
}
