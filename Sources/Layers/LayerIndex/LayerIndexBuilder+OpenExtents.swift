public import Base

/// Extents for formats that specify only the start of each: an extent ends where the next one starts.
extension LayerIndexBuilder {
    /// Adds an extent whose end is not known yet, and returns its number for ``ContentPiece/extent``. The extent has
    /// one byte until ``endExtent(_:at:)`` sets its end.
    public mutating func addExtent(from offset: UInt64, codec: ExtentCodec) throws(LayerIndexError) -> UInt32 {
        guard let range = ByteRange(offset: offset, count: 1) else {
            throw LayerIndexError(.invalidEntry, "an extent at \(offset)")
        }
        return try addExtent(range, codec: codec)
    }

    /// Sets the end of an extent from ``addExtent(from:codec:)``.
    public mutating func endExtent(_ extent: UInt32, at end: UInt64) throws(LayerIndexError) {
        guard Int(extent) < extents.count else {
            throw LayerIndexError(.invalidEntry, "the end of a nonexistent extent")
        }
        let range = ByteRange(offset: extents[Int(extent)].range.offset, end: end)
        try check(range)
        extents[Int(extent)].range = range
    }

    /// Sets the restart data of an extent with codec ``ExtentCodec/deflate``. Without this call, the extent starts on a
    /// byte boundary and has no window, as at the start of a stream.
    public mutating func setRestart(_ extent: UInt32, _ restart: ExtentRestart) throws(LayerIndexError) {
        guard Int(extent) < extents.count, extents[Int(extent)].codec == .deflate else {
            throw LayerIndexError(.invalidEntry, "a restart point of an extent of another codec")
        }
        guard restart.isInRange else {
            throw LayerIndexError(.invalidEntry, "a restart point with \(restart.bitCount) bits")
        }
        extents[Int(extent)].restart = restart
    }

    /// Sets the blob with the windows of the layer's extents (``ExtentRestart/window``). A size of 0 means that the
    /// layer has no such blob.
    public mutating func setWindows(_ windows: WindowsBlob) {
        self.windows = windows.size > 0 ? windows : nil
    }
}
