public import Base

/// The planner's view of a layer: its extents' places in the blob, and which of them are local.
///
/// Extents are numbered from 0 in the order of their places in the blob and do not overlap. Calls are cheap (a look
/// into a mapped table) and never block; the planner makes them with its lock held.
public protocol ExtentMap: Sendable {
    /// The number of extents in the layer.
    var extentCount: Int { get }

    /// Returns the place in the blob of extent `extent`, which is less than ``extentCount``.
    func blobRange(of extent: Int) -> ByteRange

    /// Returns whether every chunk of the extent is in the store or is zeros.
    func isPresent(_ extent: Int) -> Bool

    /// True if an extent holds several files that lie side by side in the archive. A read then brings its surroundings
    /// along without speculation.
    var extentsSpanFiles: Bool { get }

    /// Returns whether a file begins in the extent, as far as the table tells. Read-ahead is cautious past such a
    /// point; a wrong answer only costs bytes.
    func beginsFile(_ extent: Int) -> Bool
}

extension ExtentMap {
    public var extentsSpanFiles: Bool { false }
}
