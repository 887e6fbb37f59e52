import Base
import ContentStore
import LayerIndex

/// The windows that extents of a plain gzip layer need before they can be decoded.
extension LayerMap {
    /// The unit of fetches from the windows blob, in bytes: a dozen windows, so that the next read mostly finds its
    /// window here, and the extents' bytes do not wait long for it on a slow link.
    static let windowsBlock: UInt64 = 128 << 10

    /// The most blocks in one request.
    static let windowsRun: UInt64 = 8

    /// Returns the blocks of the windows blob that are missing for the extents in these ranges of the blob, ascending.
    /// Adjacent blocks are together, up to ``windowsRun``.
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
