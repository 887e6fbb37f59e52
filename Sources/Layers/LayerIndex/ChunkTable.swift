public import Base
public import Linux

/// The smallest verified piece of a layer's content.
public struct Chunk: Sendable, Equatable {
    /// Where its bytes lie in the layer's content space; never empty.
    public var content: ByteRange
    /// The extent that holds it. For zeros, one nearby, which does not hold it.
    public var extent: Int
    /// Where in the decoded extent it starts; 0 for zeros.
    public var innerOffset: UInt64
    /// The SHA-256 of its bytes.
    public var digest: Digest
    /// Whether it is all zeros: nothing needs to be fetched for it.
    public var isZeros: Bool
}

/// The smallest decodable piece of a blob.
public struct Extent: Sendable, Equatable {
    /// Where its bytes lie in the blob. Empty only in a layer whose files are nothing but zeros.
    public var blob: ByteRange
    public var codec: ExtentCodec
    /// The chunks in it, ascending in it, zeros among them; never empty.
    public var chunks: Range<Int>
    /// How many bytes to decode to reach the end of its last chunk; it may decode to more.
    public var decodedLength: UInt64
    /// How to begin, for ``ExtentCodec/deflate``; `nil` for every other codec.
    public var restart: ExtentRestart?
}

/// Where each byte of a layer's content lies in its blob: see the module's `ChunkTableLayout`.
///
/// Everything is checked when the table is opened, so that the accessors are a few loads and cannot fail.
public final class ChunkTable: Sendable {
    private typealias Layout = ChunkTableLayout

    private let table: IndexBytes
    /// The blob in which the extents lie: the layer's own, or a copy of it that a streaming artifact has.
    public let blobDigest: Digest
    /// Its compressed size in bytes.
    public let blobSize: UInt64
    /// Bytes in its content space: a multiple of 4096.
    public let contentSize: UInt64
    public let chunkCount: Int
    public let extentCount: Int
    public let prefetch: PrefetchHint
    /// The blob that the windows of its extents lie in; `nil` when none needs one.
    public let windows: WindowsBlob?
    private let chunkStart: Int
    private let digestStart: Int

    /// Reads from a copy of `bytes`. The limits are those that hold for a chunk's and an extent's size and for their number.
    public convenience init(bytes: [UInt8], limits: IndexLimits = .standard) throws(LayerIndexError) {
        try self.init(IndexBytes(copying: bytes), limits)
    }

    /// Reads from `mapping`, which is kept.
    public convenience init(mapping: MappedFile, limits: IndexLimits = .standard) throws(LayerIndexError) {
        try self.init(IndexBytes(mapping), limits)
    }

    private init(_ table: IndexBytes, _ limits: IndexLimits) throws(LayerIndexError) {
        self.table = table
        let limits = limits.clamped()
        let header = try ChunkTableHeader(table, limits)
        blobDigest = header.blobDigest
        blobSize = header.blobSize
        contentSize = header.contentSize
        chunkCount = header.chunkCount
        extentCount = header.extentCount
        prefetch = header.prefetch
        windows = header.windows
        chunkStart = header.chunkStart
        digestStart = header.digestStart
        try header.validateRecords(table, limits)
        // All of it was read, and only what is being fetched will be read again.
        releaseResidentPages()
    }

    /// Lets go of the memory that reading a mapped table took; reading goes on as before, from the page cache.
    public func releaseResidentPages() {
        table.releaseResidentPages()
    }

    /// The chunk numbered `index`, which must be below ``chunkCount``.
    public func chunk(_ index: Int) -> Chunk {
        precondition(index >= 0 && index < chunkCount)
        let record = chunkStart + index * Layout.chunkSize
        let length = word(record + 8)
        guard let digest = Digest(bytes: UnsafeRawBufferPointer(rebasing: table.bytes[digest(index)])) else {
            preconditionFailure("a digest has 32 bytes")
        }
        return Chunk(
            content: ByteRange(offset: long(record), end: long(record) + UInt64(length & ~Layout.zerosBit)),
            extent: Int(word(record + 12)), innerOffset: UInt64(word(record + 16)), digest: digest,
            isZeros: length & Layout.zerosBit != 0)
    }

    /// The extent numbered `index`, which must be below ``extentCount``.
    public func extent(_ index: Int) -> Extent {
        precondition(index >= 0 && index < extentCount)
        let record = Layout.headerSize + index * Layout.extentSize
        let next = index + 1 < extentCount ? Int(word(record + Layout.extentSize + 16)) : chunkCount
        let offset = long(record)
        let start = word(record + 20)
        let codec = ExtentCodec(rawValue: UInt8(truncatingIfNeeded: start)) ?? .raw
        var restart: ExtentRestart?
        if codec == .deflate {
            let window = long(record + 24)
            restart = ExtentRestart(
                bitCount: UInt8(truncatingIfNeeded: start >> 8), bits: UInt8(truncatingIfNeeded: start >> 16),
                window: ByteRange(offset: window, end: window + UInt64(word(record + 32))),
                windowChecksum: word(record + 36))
        }
        return Extent(
            blob: ByteRange(offset: offset, end: offset + UInt64(word(record + 8))), codec: codec,
            chunks: Int(word(record + 16))..<next, decodedLength: UInt64(word(record + 12)), restart: restart)
    }

    /// The chunks that hold bytes of `range`; empty when there are none.
    public func chunks(overlapping range: ByteRange) -> Range<Int> {
        guard !range.isEmpty else { return 0..<0 }
        // The first chunk that ends after the start, and the first that starts at the end or after it.
        let first = partition { offset, length in offset + length > range.offset }
        let end = partition { offset, _ in offset >= range.end }
        return first..<max(first, end)
    }

    /// The first chunk for which `isAfter` holds; it must hold for all that follow.
    @inline(__always)
    private func partition(_ isAfter: (_ offset: UInt64, _ length: UInt64) -> Bool) -> Int {
        var low = 0
        var high = chunkCount
        while low < high {
            let middle = (low + high) / 2
            let record = chunkStart + middle * Layout.chunkSize
            if isAfter(long(record), UInt64(word(record + 8) & ~Layout.zerosBit)) {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low
    }

    private func digest(_ index: Int) -> Range<Int> {
        let start = digestStart + index * Layout.digestSize
        return start..<start + Layout.digestSize
    }

    // The header's counts were held against the size of the file, so these offsets lie inside.
    @inline(__always)
    private func word(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: table.bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always)
    private func long(_ offset: Int) -> UInt64 {
        UInt64(littleEndian: table.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}
