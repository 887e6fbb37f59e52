import Base

/// A run: the extents of one request, in the order of their arrival. The request may also fetch bytes that lie between
/// these extents in the blob. Other extents in these bytes are not part of the run.
struct ExtentRun: Sendable {
    /// The numbers of the extents, in the order of their arrival. Consecutive numbers share one segment.
    private(set) var segments: [Range<Int>] = []
    /// The requested byte ranges. Two extents that lie close together in the blob share a range. The bytes between them
    /// are then fetched and discarded. Extents that are farther apart have separate ranges.
    private(set) var ranges: [ByteRange] = []
    /// The number of bytes in ``ranges``, including those between the extents of one range.
    private(set) var byteCount: UInt64 = 0

    var isEmpty: Bool { segments.isEmpty }

    /// The range from the start of the first requested range to the end of the last requested range. This range covers
    /// all of ``ranges`` only if ``ranges`` is in the order of the blob.
    var blob: ByteRange { ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0) }

    /// Adds `extent`, whose bytes are at `range` in the blob. If `range` starts at most `gap` bytes after the end of
    /// the last requested range, extends the last requested range. Otherwise opens a new requested range.
    mutating func append(_ extent: Int, at range: ByteRange, gap: UInt64) {
        if let last = segments.last, last.upperBound == extent {
            segments[segments.count - 1] = last.lowerBound..<extent + 1
        } else {
            segments.append(extent..<extent + 1)
        }
        if let last = ranges.last, !needsNewRange(for: range, gap: gap) {
            ranges[ranges.count - 1] = ByteRange(offset: last.offset, end: range.end)
            byteCount += range.end - last.end
        } else {
            ranges.append(range)
            byteCount += range.count
        }
    }

    /// Returns true if ``append(_:at:gap:)`` would open a new range for `range`.
    func needsNewRange(for range: ByteRange, gap: UInt64) -> Bool {
        guard let last = ranges.last else { return true }
        return range.offset < last.end || range.offset - last.end > gap
    }
}
