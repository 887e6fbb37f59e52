import Base

/// A writer of a chunk table file. The caller adds the chunks in the order of the content space. See
/// ``ChunkTableLayout``.
struct ChunkTableWriter {
    private typealias Layout = ChunkTableLayout

    private var chunks: [UInt8] = []
    private var digests: [UInt8] = []
    private var extents: [UInt8] = []
    private var chunkCount: UInt32 = 0
    private var extentCount: UInt32 = 0
    /// The position of the current extent among all extents in blob order; `nil` before the first one.
    private var rank: UInt32?
    private var decodedLength: UInt64 = 0

    init(chunkCapacity: Int, extentCapacity: Int) {
        chunks.reserveCapacity(chunkCapacity * Layout.chunkSize)
        digests.reserveCapacity(chunkCapacity * Layout.digestSize)
        extents.reserveCapacity(extentCapacity * Layout.extentSize)
    }

    /// Makes `extent` the current extent, to which the chunks that are appended next belong. `next` is the extent's
    /// position among all extents in blob order.
    ///
    /// - Throws: `unordered` if `next` is lower than the current extent's position.
    mutating func enter(_ next: UInt32, _ extent: LayerIndexBuilder.ExtentRecord) throws(LayerIndexError) {
        if let rank {
            guard next >= rank else {
                throw LayerIndexError(.unordered, "the files are interleaved in the blob at \(extent.range)")
            }
            if next == rank { return }
        }
        // Chunks of zeros before the first extent are assigned to that extent.
        beginExtent(extent, firstChunk: extentCount == 0 ? 0 : chunkCount)
        rank = next
    }

    private mutating func beginExtent(_ extent: LayerIndexBuilder.ExtentRecord, firstChunk: UInt32) {
        closeExtent()
        let restart = extent.restart
        extents.appendLittleEndian(extent.range.offset)
        extents.appendLittleEndian(UInt32(truncatingIfNeeded: extent.range.count))
        extents.appendLittleEndian(UInt32(0))
        extents.appendLittleEndian(firstChunk)
        extents.appendLittleEndian(
            UInt32(extent.codec.rawValue) | UInt32(restart?.bitCount ?? 0) << 8 | UInt32(restart?.bits ?? 0) << 16)
        extents.appendLittleEndian(restart?.window.offset ?? 0)
        extents.appendLittleEndian(UInt32(truncatingIfNeeded: restart?.window.count ?? 0))
        extents.appendLittleEndian(restart?.windowChecksum ?? 0)
        extentCount += 1
        decodedLength = 0
    }

    /// Stores the decoded length of the current extent.
    private mutating func closeExtent() {
        guard extentCount > 0 else { return }
        extents.setLittleEndian(UInt32(decodedLength), at: extents.count - Layout.extentSize + 12)
    }

    /// Appends the next chunk, which starts at byte `offset` of the content space.
    mutating func append(
        _ piece: LayerIndexBuilder.PieceRecord, at offset: UInt64
    ) throws(LayerIndexError) {
        if !piece.isZeros {
            guard UInt64(piece.innerOffset) >= decodedLength else {
                throw LayerIndexError(.unordered, "chunks overlap in an extent, at \(piece.innerOffset)")
            }
            decodedLength = UInt64(piece.innerOffset) + UInt64(piece.length)
        }
        chunks.appendLittleEndian(offset)
        chunks.appendLittleEndian(piece.length | (piece.isZeros ? Layout.zerosBit : 0))
        chunks.appendLittleEndian(extentCount == 0 ? 0 : extentCount - 1)
        chunks.appendLittleEndian(piece.innerOffset)
        piece.digest.withBytes { digests.append(contentsOf: $0) }
        chunkCount += 1
    }

    /// Returns the complete chunk table file.
    consuming func finish(
        blobDigest: Digest, blobSize: UInt64, contentSize: UInt64, prefetch: PrefetchHint, windows: WindowsBlob?
    ) -> [UInt8] {
        if extentCount == 0, chunkCount > 0 {
            // All chunks are zeros: add an empty extent, so that every chunk has an extent.
            beginExtent(
                LayerIndexBuilder.ExtentRecord(range: ByteRange(offset: 0, end: 0), codec: .raw), firstChunk: 0)
        }
        closeExtent()
        var file: [UInt8] = []
        file.reserveCapacity(Layout.headerSize + extents.count + chunks.count + digests.count)
        file.appendLittleEndian(Layout.magic)
        file.appendLittleEndian(Layout.version)
        file.appendLittleEndian(UInt32(0))
        blobDigest.withBytes { file.append(contentsOf: $0) }
        file.appendLittleEndian(blobSize)
        file.appendLittleEndian(contentSize)
        file.appendLittleEndian(chunkCount)
        file.appendLittleEndian(extentCount)
        switch prefetch {
        case .unknown:
            file.appendLittleEndian(UInt64(0))
            file.appendLittleEndian(UInt64(0))
        case .nothing:
            file.appendLittleEndian(UInt64(1))
            file.appendLittleEndian(UInt64(0))
        case .blobPrefix(let end):
            file.appendLittleEndian(UInt64(2))
            file.appendLittleEndian(min(end, blobSize))
        }
        file.appendLittleEndian(windows?.size ?? 0)
        if let windows {
            windows.digest.withBytes { file.append(contentsOf: $0) }
        } else {
            file.append(contentsOf: repeatElement(0, count: Digest.byteCount))
        }
        file.append(contentsOf: extents)
        file.append(contentsOf: chunks)
        file.append(contentsOf: digests)
        let checksum = file.withUnsafeBytes { CRC32C.update(.max, $0) }
        file.setLittleEndian(checksum, at: 12)
        return file
    }
}
