import Base
import ContentStore
import LayerIndex
import Planner

/// A layer as the planner sees it.
struct LayerMap: ExtentMap {
    let content: LayerContent

    var extentCount: Int { content.chunks.extentCount }

    func blobRange(of extent: Int) -> ByteRange { content.chunks.extent(extent).blob }

    func isPresent(_ extent: Int) -> Bool { content.missing(in: content.chunks.extent(extent).chunks) == nil }

    /// Files start on 4 KiB boundaries of the content space, so a hole before the first chunk means that a file begins.
    /// One whose predecessor fills its last block is not seen.
    func beginsFile(_ extent: Int) -> Bool {
        let first = content.chunks.extent(extent).chunks.lowerBound
        guard first > 0 else { return true }
        return content.chunks.chunk(first - 1).content.end != content.chunks.chunk(first).content.offset
    }

    /// The extents that bring what is missing of `chunks`, and what lies between them; `nil` when nothing is missing.
    func extents(missingIn chunks: Range<Int>) -> Range<Int>? {
        let table = content.chunks
        let chunks = chunks.clamped(to: 0..<table.chunkCount)
        guard let first = content.missing(in: chunks) else { return nil }
        var last = chunks.upperBound - 1
        while last > first, content.isPresent(last) { last -= 1 }
        let (lower, upper) = (table.chunk(first).extent, table.chunk(last).extent)
        return lower..<max(lower, upper) + 1
    }

    /// The extents that hold `chunks`.
    func extents(holding chunks: Range<Int>) -> Range<Int>? {
        let table = content.chunks
        let chunks = chunks.clamped(to: 0..<table.chunkCount)
        guard !chunks.isEmpty else { return nil }
        let (lower, upper) = (table.chunk(chunks.lowerBound).extent, table.chunk(chunks.upperBound - 1).extent)
        return lower..<max(lower, upper) + 1
    }

    /// The extents that begin before `end` in the blob.
    func extents(before end: UInt64) -> Range<Int> {
        var (low, high) = (0, extentCount)
        while low < high {
            let middle = (low + high) / 2
            if blobRange(of: middle).offset < end { low = middle + 1 } else { high = middle }
        }
        return 0..<low
    }

    /// How much of the windows is fetched at once, in bytes: those of some tens of extents, so that reading on does not ask
    /// for each.
    private static let windowsAtOnce: UInt64 = 64 << 10

    /// What has to be fetched of the windows blob before the extents in these ranges of the blob can be decoded.
    func missingWindows(_ ranges: [ByteRange]) -> [ByteRange] {
        guard let windows = content.chunks.windows, let file = content.windows else { return [] }
        var missing: [ByteRange] = []
        for range in ranges {
            for extent in extents(before: range.offset + 1).upperBound - 1..<extents(before: range.end).upperBound {
                guard extent >= 0, let restart = content.chunks.extent(extent).restart, !restart.window.isEmpty,
                    missing.last?.contains(restart.window) != true, file.window(of: restart) == nil
                else { continue }
                let end = min(max(restart.window.end, restart.window.offset + Self.windowsAtOnce), windows.size)
                if let last = missing.last, last.offset <= restart.window.offset, last.end >= restart.window.offset {
                    missing[missing.count - 1] = ByteRange(offset: last.offset, end: max(last.end, end))
                } else {
                    missing.append(ByteRange(offset: restart.window.offset, end: end))
                }
            }
        }
        // They are small: a little more in one request is cheaper than a second one.
        guard missing.count > 1 else { return missing }
        let hull = ByteRange(offset: missing.first?.offset ?? 0, end: missing.last?.end ?? 0)
        return missing.count > Planner.maximumRanges || hull.count <= 16 * Self.windowsAtOnce ? [hull] : missing
    }
}
