public import Base

/// The planner's view of a layer: the positions of its extents in the blob, and which extents the content store has.
///
/// An extent is the smallest piece of the blob that can be decoded. Extents are numbered from 0 in the order of the
/// blob, and do not overlap. The planner reads an extent map while its caller holds the planner's lock. So
/// implementations must be fast and must not block.
public protocol ExtentMap: Sendable {
    /// The number of extents in the layer.
    var extentCount: Int { get }

    /// Returns the range of the blob that holds extent number `extent`, which must be less than ``extentCount``.
    func blobRange(of extent: Int) -> ByteRange

    /// Returns true if every chunk of the extent is in the store or consists of zeros.
    func isPresent(_ extent: Int) -> Bool

    /// True if an extent may hold several files that are adjacent in the archive. A fetch of one file then also brings
    /// the adjacent files, so the planner adds less read-around (extra bytes after a demand).
    var extentsSpanFiles: Bool { get }

    /// Returns true if a file begins in the extent. The planner uses the result to find the end of the file that a
    /// reader is reading, and limits read-ahead beyond this end.
    ///
    /// The layer index does not show the beginning of every file, so the result may wrongly be false. The only harm is
    /// that read-ahead then fetches more bytes than it should.
    func beginsFile(_ extent: Int) -> Bool
}

extension ExtentMap {
    public var extentsSpanFiles: Bool { false }
}
