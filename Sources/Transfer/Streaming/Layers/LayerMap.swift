import Base
import ContentStore
import LayerIndex
import Planner

/// The planner's view of a stored layer: the extents (decodable pieces) of its blob, and which of them are present.
struct LayerMap: ExtentMap {
    let content: StoredLayer

    var extentCount: Int { content.chunks.extentCount }

    var extentsSpanFiles: Bool { content.chunks.windows != nil }

    func blobRange(of extent: Int) -> ByteRange { content.chunks.extent(extent).blob }

    func isPresent(_ extent: Int) -> Bool { content.missing(in: content.chunks.extent(extent).chunks) == nil }

    /// Returns true if the chunk table shows that a file begins in the extent.
    ///
    /// The function looks for two signs. The first sign is a hole in the content space before a chunk of the extent. In
    /// the content space, each file starts at a multiple of 4 KiB. So a file that ends elsewhere leaves a hole before
    /// the next file.
    ///
    /// The second sign is a gap of at least 512 bytes between two chunks in the decoded extent. Before each file, the
    /// archive has a tar header of at least this size.
    ///
    /// The function misses a file if the previous file ends both at a multiple of 4 KiB and at the end of an extent.
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

    /// Returns the smallest range of extents that holds all missing chunks of `chunks`; `nil` if no chunk is missing.
    /// Chunks in memory are not missing.
    func extents(missingIn chunks: Range<Int>) -> Range<Int>? {
        let table = content.chunks
        let chunks = chunks.clamped(to: 0..<table.chunkCount)
        guard var first = content.missing(in: chunks) else { return nil }
        var last = chunks.upperBound - 1
        while content.isAvailable(first) {
            guard let next = content.missing(in: first + 1..<max(first + 1, chunks.upperBound)) else { return nil }
            first = next
        }
        while last > first, content.isAvailable(last) { last -= 1 }
        let (lower, upper) = (table.chunk(first).extent, table.chunk(last).extent)
        return lower..<max(lower, upper) + 1
    }

    /// Returns the range of extents that hold `chunks`. Ignores numbers outside the chunk table; returns `nil` if no
    /// number is left.
    func extents(holding chunks: Range<Int>) -> Range<Int>? {
        let table = content.chunks
        let chunks = chunks.clamped(to: 0..<table.chunkCount)
        guard !chunks.isEmpty else { return nil }
        let (lower, upper) = (table.chunk(chunks.lowerBound).extent, table.chunk(chunks.upperBound - 1).extent)
        return lower..<max(lower, upper) + 1
    }

    /// Returns the extents that begin before byte `end` of the blob.
    func extents(before end: UInt64) -> Range<Int> {
        var (low, high) = (0, extentCount)
        while low < high {
            let middle = (low + high) / 2
            if blobRange(of: middle).offset < end { low = middle + 1 } else { high = middle }
        }
        return 0..<low
    }
}
