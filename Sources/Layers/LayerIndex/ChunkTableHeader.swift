import Base

/// The header of a chunk table file, and the validation of the file's records.
struct ChunkTableHeader {
    private typealias Layout = ChunkTableLayout

    var blobDigest: Digest
    var blobSize: UInt64
    var contentSize: UInt64
    var chunkCount: Int
    var extentCount: Int
    var prefetch: PrefetchHint
    var windows: WindowsBlob?

    var chunkStart: Int { Layout.headerSize + extentCount * Layout.extentSize }
    var digestStart: Int { chunkStart + chunkCount * Layout.chunkSize }

    init(_ table: IndexBytes, _ limits: IndexLimits) throws(LayerIndexError) {
        guard table.count >= Layout.headerSize, try table.load(UInt64.self, at: 0) == Layout.magic else {
            throw LayerIndexError(.foreign, "not a chunk table")
        }
        let version = try table.load(UInt32.self, at: 8)
        guard version == Layout.version else {
            throw LayerIndexError(.foreign, "a chunk table of version \(version)")
        }
        guard let digest = Digest(bytes: try table.slice(at: 16, count: Digest.byteCount)) else {
            throw Self.corrupt("no digest")
        }
        blobDigest = digest
        blobSize = try table.load(UInt64.self, at: 48)
        contentSize = try table.load(UInt64.self, at: 56)
        chunkCount = Int(try table.load(UInt32.self, at: 64))
        extentCount = Int(try table.load(UInt32.self, at: 68))
        let end = try table.load(UInt64.self, at: 80)
        switch try table.load(UInt64.self, at: 72) {
        case 0: prefetch = .unknown
        case 1: prefetch = .nothing
        case 2: prefetch = .blobPrefix(end: end)
        default: throw Self.corrupt("an unknown prefetch hint")
        }
        guard let windowsDigest = Digest(bytes: try table.slice(at: 96, count: Digest.byteCount)) else {
            throw Self.corrupt("no digest of its windows")
        }
        let windowsSize = try table.load(UInt64.self, at: 88)
        guard windowsSize <= UInt64(Int64.max) else { throw Self.corrupt("sizes out of range") }
        windows = windowsSize > 0 ? WindowsBlob(digest: windowsDigest, size: windowsSize) : nil
        guard chunkCount <= limits.chunkCount, extentCount <= chunkCount, extentCount > 0 || chunkCount == 0 else {
            throw LayerIndexError(.limit, "a chunk table of \(chunkCount) chunks and \(extentCount) extents")
        }
        guard table.count == digestStart + chunkCount * Layout.digestSize else {
            throw Self.corrupt("its size does not match its records")
        }
        guard contentSize % UInt64(EROFS.blockSize) == 0,
            contentSize / UInt64(EROFS.blockSize) < UInt64(EROFS.noBlock), end <= blobSize
        else {
            throw Self.corrupt("sizes out of range")
        }
        let checksum = try table.load(UInt32.self, at: 12)
        var state = CRC32C.update(.max, try table.slice(at: 0, count: 12))
        state = withUnsafeBytes(of: UInt32(0)) { CRC32C.update(state, $0) }
        state = CRC32C.update(state, try table.slice(at: 16, count: table.count - 16))
        guard state == checksum else { throw Self.corrupt("checksum mismatch") }
    }

    private static func corrupt(_ what: StaticString) -> LayerIndexError {
        LayerIndexError(.corrupt, "the chunk table is corrupt: \(what)")
    }

    /// Validates every extent and chunk record. After this, the accessors of ``ChunkTable`` need no checks.
    func validateRecords(_ table: IndexBytes, _ limits: IndexLimits) throws(LayerIndexError) {
        var content: UInt64 = 0
        var blobEnd: UInt64 = 0
        var next = 0
        for index in 0..<extentCount {
            let extent = try checkExtent(index, after: blobEnd, firstChunk: next, in: table, limits: limits)
            blobEnd = extent.blobEnd
            try checkChunks(
                extent.chunks, in: index, decodedLength: extent.decodedLength, content: &content, table: table,
                limits: limits)
            next = extent.chunks.upperBound
        }
        guard EROFS.blocks(content) * UInt64(EROFS.blockSize) == contentSize else {
            throw Self.corrupt("its chunks do not cover its content")
        }
    }

    private func checkExtent(
        _ index: Int, after blobEnd: UInt64, firstChunk: Int, in table: IndexBytes, limits: IndexLimits
    ) throws(LayerIndexError) -> (blobEnd: UInt64, chunks: Range<Int>, decodedLength: UInt64) {
        let record = Layout.headerSize + index * Layout.extentSize
        let offset = try table.load(UInt64.self, at: record)
        let count = UInt64(try table.load(UInt32.self, at: record + 8))
        let decodedLength = UInt64(try table.load(UInt32.self, at: record + 12))
        let first = Int(try table.load(UInt32.self, at: record + 16))
        let next =
            index + 1 < extentCount ? Int(try table.load(UInt32.self, at: record + Layout.extentSize + 16)) : chunkCount
        guard let codec = ExtentCodec(rawValue: try table.load(UInt8.self, at: record + 20)) else {
            throw Self.corrupt("an unknown codec")
        }
        try checkRestart(record, of: codec, in: table)
        guard offset >= blobEnd, offset <= blobSize, count <= blobSize - offset, count <= limits.extentLength,
            count > 0 || extentCount == 1 && decodedLength == 0
        else {
            throw Self.corrupt("an extent out of place")
        }
        guard first == firstChunk, next > first, next <= chunkCount, decodedLength <= limits.decodedLength else {
            throw Self.corrupt("an extent whose chunks are out of place")
        }
        return (offset + count, first..<next, decodedLength)
    }

    private func checkRestart(
        _ record: Int, of codec: ExtentCodec, in table: IndexBytes
    ) throws(LayerIndexError) {
        let bitCount = try table.load(UInt8.self, at: record + 21)
        let bits = try table.load(UInt8.self, at: record + 22)
        let offset = try table.load(UInt64.self, at: record + 24)
        let count = UInt64(try table.load(UInt32.self, at: record + 32))
        let checksum = try table.load(UInt32.self, at: record + 36)
        guard codec == .deflate else {
            guard bitCount == 0, bits == 0, offset == 0, count == 0, checksum == 0 else {
                throw Self.corrupt("a restart point in an extent of another codec")
            }
            return
        }
        let restart = ExtentRestart(
            bitCount: bitCount, bits: bits, window: ByteRange(offset: offset, end: offset &+ count),
            windowChecksum: checksum)
        let size = windows?.size ?? 0
        guard offset <= size, count <= size - offset, restart.isInRange else {
            throw Self.corrupt("a restart point out of range")
        }
    }

    private func checkChunks(
        _ chunks: Range<Int>, in extent: Int, decodedLength: UInt64, content: inout UInt64, table: IndexBytes,
        limits: IndexLimits
    ) throws(LayerIndexError) {
        var decoded: UInt64 = 0
        for index in chunks {
            let record = chunkStart + index * Layout.chunkSize
            let offset = try table.load(UInt64.self, at: record)
            let word = try table.load(UInt32.self, at: record + 8)
            let inner = UInt64(try table.load(UInt32.self, at: record + 16))
            let length = UInt64(word & ~Layout.zerosBit)
            guard try table.load(UInt32.self, at: record + 12) == UInt32(truncatingIfNeeded: extent) else {
                throw Self.corrupt("a chunk of another extent")
            }
            // The chunks of a file are contiguous. The next file starts at the next block.
            let boundary = EROFS.blocks(content) * UInt64(EROFS.blockSize)
            guard offset == content || offset == boundary, length > 0, length <= limits.chunkLength,
                offset <= contentSize, length <= contentSize - offset
            else {
                throw Self.corrupt("a chunk out of place")
            }
            content = offset + length
            if word & Layout.zerosBit == 0 {
                guard inner >= decoded else { throw Self.corrupt("chunks that overlap") }
                decoded = inner + length
            } else if inner != 0 {
                throw Self.corrupt("zeros in an extent")
            }
        }
        guard decoded == decodedLength else { throw Self.corrupt("an extent of a wrong length") }
    }
}
