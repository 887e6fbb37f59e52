import Base

/// The extents of one request, in the order of their arrival. Extents in the gaps between them are not part of the run.
struct ExtentRun: Sendable {
    private(set) var segments: [Range<Int>] = []
    /// The requested ranges. Small gaps lie inside a range, larger ones between two ranges.
    private(set) var ranges: [ByteRange] = []
    /// The number of bytes in ``ranges``.
    private(set) var byteCount: UInt64 = 0

    var isEmpty: Bool { segments.isEmpty }

    /// The range from the start of the first range to the end of the last one.
    var blob: ByteRange { ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0) }

    /// Adds `extent`, whose bytes are at `range`. If these start within `gap` bytes after the last range, that range
    /// grows. Otherwise a new range begins.
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

    /// Returns whether ``append(_:at:gap:)`` would open a new range for `range`.
    func needsNewRange(for range: ByteRange, gap: UInt64) -> Bool {
        guard let last = ranges.last else { return true }
        return range.offset < last.end || range.offset - last.end > gap
    }
}
