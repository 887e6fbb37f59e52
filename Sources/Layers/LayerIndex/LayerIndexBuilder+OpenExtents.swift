import Base

/// Extents of which a format says only where they start: each ends where the next one starts.
extension LayerIndexBuilder {
    /// As ``addExtent(_:codec:)``, for an extent whose end is not known yet. Until ``endExtent(_:at:)`` has said it, the
    /// extent has one byte.
    public mutating func addExtent(from offset: UInt64, codec: ExtentCodec) throws(LayerIndexError) -> UInt32 {
        guard let range = ByteRange(offset: offset, count: 1) else {
            throw LayerIndexError(.invalidEntry, "an extent at \(offset)")
        }
        return try addExtent(range, codec: codec)
    }

    /// Says where an extent that ``addExtent(from:codec:)`` gave ends.
    public mutating func endExtent(_ extent: UInt32, at end: UInt64) throws(LayerIndexError) {
        guard Int(extent) < extents.count else {
            throw LayerIndexError(.invalidEntry, "the end of an extent that there is not")
        }
        let range = ByteRange(offset: extents[Int(extent)].range.offset, end: end)
        try check(range)
        extents[Int(extent)].range = range
    }

    /// Says how decoding begins in an extent of codec ``ExtentCodec/deflate``; until then, as at the start of a stream.
    public mutating func setRestart(_ extent: UInt32, _ restart: ExtentRestart) throws(LayerIndexError) {
        guard Int(extent) < extents.count, extents[Int(extent)].codec == .deflate else {
            throw LayerIndexError(.invalidEntry, "a restart point of an extent that needs none")
        }
        guard restart.isInRange else {
            throw LayerIndexError(.invalidEntry, "a restart point with \(restart.bitCount) bits")
        }
        extents[Int(extent)].restart = restart
    }

    /// Says which blob the windows of restart points lie in.
    public mutating func setWindows(_ windows: WindowsBlob) {
        self.windows = windows.size > 0 ? windows : nil
    }
}
