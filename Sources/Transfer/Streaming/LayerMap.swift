import Base
import ContentStore
import LayerIndex
import Planner

/// A layer as the planner sees it.
struct LayerMap: ExtentMap {
    let content: StoredLayer

    var extentCount: Int { content.chunks.extentCount }

    var extentsSpanFiles: Bool { content.chunks.windows != nil }

    func blobRange(of extent: Int) -> ByteRange { content.chunks.extent(extent).blob }

    func isPresent(_ extent: Int) -> Bool { content.missing(in: content.chunks.extent(extent).chunks) == nil }

    /// Files start on 4 KiB boundaries of the content space, so a hole before a chunk means that a file begins; and in an archive
    /// a header lies between two. One whose predecessor fills its last block and ends with its extent is not seen.
    func beginsFile(_ extent: Int) -> Bool {
        let chunks = content.chunks.extent(extent).chunks
        guard chunks.lowerBound > 0 else { return true }
        var end = content.chunks.chunk(chunks.lowerBound - 1).content.end
        var inner: UInt64?
        for index in chunks {
            let chunk = content.chunks.chunk(index)
            if chunk.content.offset != end { return true }
            end = chunk.content.end
            guard !chunk.isZeros else { continue }
            if let inner, chunk.innerOffset >= inner + 512 { return true }
            inner = chunk.innerOffset + chunk.content.count
        }
        return false
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

    /// What is fetched of the windows blob is made of blocks of so many bytes: a dozen windows, so that what is read next has
    /// its window here mostly, and the bytes of the extents do not wait behind much else on a slow link.
    static let windowsBlock: UInt64 = 128 << 10

    /// The most blocks that one request brings.
    static let windowsRun: UInt64 = 8

    /// Which blocks of the windows blob have to be fetched before the extents in these ranges of the blob can be decoded,
    /// ascending; blocks side by side are together, up to ``windowsRun``.
    func missingWindows(_ ranges: [ByteRange]) -> [Range<UInt64>] {
        guard let file = content.windows else { return [] }
        var blocks: Set<UInt64> = []
        for range in ranges {
            let first = max(extents(before: range.offset + 1).upperBound - 1, 0)
            for extent in first..<max(first, extents(before: range.end).upperBound) {
                guard let restart = content.chunks.extent(extent).restart, !restart.window.isEmpty else { continue }
                let (lower, upper) = (
                    restart.window.offset / Self.windowsBlock, (restart.window.end - 1) / Self.windowsBlock
                )
                if blocks.contains(lower), blocks.contains(upper) { continue }
                if file.window(of: restart) == nil { blocks.formUnion(lower...upper) }
            }
        }
        return blocks.sorted().reduce(into: []) { runs, block in
            if let last = runs.last, last.upperBound == block, last.count < Self.windowsRun {
                runs[runs.count - 1] = last.lowerBound..<block + 1
            } else {
                runs.append(block..<block + 1)
            }
        }
    }
}
