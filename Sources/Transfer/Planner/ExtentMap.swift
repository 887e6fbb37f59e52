public import Base

/// The planner's view of a layer: the positions of its extents in the blob, and which extents the content store has.
///
/// An extent is the smallest piece of the blob that can be decoded. Extents are numbered from 0 in the order of the
/// blob, and do not overlap. Implementations must be fast and must not block, because the planner calls them while the
/// caller holds the planner's lock.
public protocol ExtentMap: Sendable {
    /// The number of extents in the layer.
    var extentCount: Int { get }

    /// Returns the range of the blob that holds extent number `extent`, which must be less than ``extentCount``.
    func blobRange(of extent: Int) -> ByteRange

    /// Returns true if every chunk of the extent is in the store or consists of zeros.
    func isPresent(_ extent: Int) -> Bool

    /// True if an extent may hold several files that are adjacent in the archive. A fetch of one file then also brings
    /// the adjacent files, even without read-around.
    var extentsSpanFiles: Bool { get }

    /// Returns true if a file begins in the extent. Read-ahead is smaller beyond the end of the current file.
    ///
    /// The layer index does not show the beginning of every file, so the result may wrongly be false. The only harm
    /// is that read-ahead then fetches more bytes than it should.
    func beginsFile(_ extent: Int) -> Bool
}

extension ExtentMap {
    public var extentsSpanFiles: Bool { false }
}
