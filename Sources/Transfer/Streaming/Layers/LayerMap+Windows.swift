import Base
import ContentStore
import LayerIndex

/// The windows of a plain gzip layer. An extent's window holds up to 32 KiB of decoded bytes in front of the extent.
/// DEFLATE data may refer to those bytes, so the decoder needs the window first. The registry stores all windows of a
/// layer in a separate blob, the windows blob.
extension LayerMap {
    /// The size of a block, the unit of fetches from the windows blob, in bytes. A block holds about a dozen windows,
    /// so the next read usually finds its window on the node. On a slow network, a larger block would delay the
    /// extents' bytes.
    static let windowsBlock: UInt64 = 128 << 10

    /// The maximum number of blocks in one request.
    static let windowsRun: UInt64 = 8

    /// Returns the missing blocks of the windows blob that the extents in `ranges` need, in ascending order. Adjacent
    /// blocks form one run of up to ``windowsRun`` blocks.
    ///
    /// - Parameter ranges: ranges of the layer's own blob.
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
