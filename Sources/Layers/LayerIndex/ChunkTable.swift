public import Base
public import Linux

/// The smallest verified piece of a layer's content.
public struct Chunk: Sendable, Equatable {
    /// The chunk's range in the layer's content space; never empty. The content space is the sequence of the layer's
    /// regular files. Each file starts at a multiple of 4096 bytes.
    public var content: ByteRange
    /// The number of the extent that contains the chunk. No extent contains a chunk of zeros, so such a chunk has the
    /// same extent number as the chunk before it. Chunks of zeros at the start of the table have the extent number 0.
    public var extent: Int
    /// The chunk's offset from the start of the decoded extent, in bytes; 0 for a chunk of zeros.
    public var innerOffset: UInt64
    /// The SHA-256 of the chunk's bytes.
    public var digest: Digest
    /// True if the chunk is all zeros, so that nothing has to be fetched for it.
    public var isZeros: Bool
}

/// The smallest piece of a blob that can be decoded on its own.
public struct Extent: Sendable, Equatable {
    /// The extent's range in the blob. The range is empty only if every file in the layer is all zeros.
    public var blob: ByteRange
    public var codec: ExtentCodec
    /// The numbers of the chunks whose ``Chunk/extent`` is this extent, including chunks of zeros; never empty.
    public var chunks: Range<Int>
    /// The number of decoded bytes up to the end of the last chunk that is not zeros. The whole extent may decode to
    /// more bytes.
    public var decodedLength: UInt64
    /// The restart data of ``ExtentCodec/deflate``; `nil` for every other codec.
    public var restart: ExtentRestart?
}

/// A table that maps each byte of a layer's content to its position in a blob. `ChunkTableLayout` describes the format.
///
/// Opening a table validates all of it. So the accessors are fast and cannot fail.
public final class ChunkTable: Sendable {
    private typealias Layout = ChunkTableLayout

    private let table: IndexBytes
    /// The digest of the blob that contains the extents: the layer's own blob, or a copy of it in a streaming artifact.
    public let blobDigest: Digest
    /// The compressed size of the blob in bytes.
    public let blobSize: UInt64
    /// The size of the layer's content space in bytes: a multiple of 4096.
    public let contentSize: UInt64
    public let chunkCount: Int
    public let extentCount: Int
    public let prefetch: PrefetchHint
    /// The blob with the extents' windows (``ExtentRestart/window``); `nil` if no extent needs a window.
    public let windows: WindowsBlob?
    private let chunkStart: Int
    private let digestStart: Int

    /// Opens a table in a copy of `bytes`. The limits apply to the number of chunks, and to the sizes of chunks and
    /// extents.
    public convenience init(bytes: [UInt8], limits: IndexLimits = .standard) throws(LayerIndexError) {
        try self.init(IndexBytes(copying: bytes), limits)
    }

    /// Opens the table in `mapping`, and keeps the mapping alive.
    public convenience init(mapping: MappedFile, limits: IndexLimits = .standard) throws(LayerIndexError) {
        try self.init(IndexBytes(mapping), limits)
    }

    /// Calls `body` with the table that consists of `bytes`, without a copy of them. The table is valid only during the
    /// call.
    public static func withTable<Result>(
        of bytes: [UInt8], limits: IndexLimits = .standard, _ body: (ChunkTable) -> Result
    ) throws(LayerIndexError) -> Result {
        try bytes.withUnsafeBufferPointer { (bytes) throws(LayerIndexError) in
            body(try ChunkTable(IndexBytes(borrowing: UnsafeRawBufferPointer(bytes)), limits))
        }
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
        // Validation read the whole table. Later reads touch only the records of chunks that are fetched.
        releaseResidentPages()
    }

    /// Releases the memory of a mapped table's pages. Later reads get them from the page cache again.
    public func releaseResidentPages() {
        table.releaseResidentPages()
    }

    /// Returns chunk number `index`, which must be below ``chunkCount``.
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

    /// Returns extent number `index`, which must be below ``extentCount``.
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

    /// Returns the numbers of the chunks that overlap `range` of the content space; empty if there are none.
    public func chunks(overlapping range: ByteRange) -> Range<Int> {
        guard !range.isEmpty else { return 0..<0 }
        // The first chunk that ends after the range's start, and the first that starts at or after the range's end.
        let first = partition { offset, length in offset + length > range.offset }
        let end = partition { offset, _ in offset >= range.end }
        return first..<max(first, end)
    }

    /// Returns the number of the first chunk for which `isAfter` returns true; ``chunkCount`` if there is none.
    /// `isAfter` receives a chunk's offset and length in the content space. For all later chunks, `isAfter` must also
    /// return true.
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

    // The header's counts were checked against the size of the file, so these offsets are in bounds.
    @inline(__always)
    private func word(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: table.bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always)
    private func long(_ offset: Int) -> UInt64 {
        UInt64(littleEndian: table.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}
