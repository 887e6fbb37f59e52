public import Base

/// What the planner has to know of a layer: where its extents lie in the blob, and which are local already.
///
/// Extents are numbered from 0 in ascending order of their place in the blob and do not overlap. The calls are cheap
/// (a look into a mapped table), never block, and are made with the planner's lock held.
public protocol ExtentMap: Sendable {
    /// How many extents the layer has.
    var extentCount: Int { get }

    /// Where extent `extent` (less than ``extentCount``) lies in the blob.
    func blobRange(of extent: Int) -> ByteRange

    /// Whether nothing of the extent has to be fetched: every chunk in it is in the store, or is zeros.
    func isPresent(_ extent: Int) -> Bool

    /// Whether an extent holds what lies side by side in the archive, however many files that are: what is beside a read then
    /// comes with it, and need not be guessed.
    var extentsSpanFiles: Bool { get }

    /// Whether a file begins in the extent, as far as the table tells. Readahead is careful past
    /// such a point; a wrong answer only costs bytes.
    func beginsFile(_ extent: Int) -> Bool
}

extension ExtentMap {
    public var extentsSpanFiles: Bool { false }
}
