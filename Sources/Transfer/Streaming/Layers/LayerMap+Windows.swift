import Base
import ContentStore
import LayerIndex

/// The windows of a plain gzip layer. The window of an extent is the decoded data directly before the extent, at most
/// 32 KiB. The decoder needs the window, because the DEFLATE data of the extent may refer back to it. The registry
/// stores all windows of a layer in a separate blob, the windows blob.
extension LayerMap {
    /// The size, in bytes, of the blocks in which the windows blob is fetched. Windows are compressed, so a block
    /// usually holds a dozen windows or more. The window for the next read is therefore usually in a block that was
    /// already fetched. On a slow network, larger blocks would delay the extents.
    static let windowsBlock: UInt64 = 128 << 10

    /// The maximum number of blocks of the windows blob in one request.
    static let windowsRun: UInt64 = 8

    /// Returns the blocks of the windows blob that are missing on this node and needed to decode the extents in
    /// `ranges`. Each element is a run of at most ``windowsRun`` adjacent block numbers. The runs are in ascending
    /// order.
    ///
    /// - Parameter ranges: ranges of the blob that holds the layer's extents.
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
