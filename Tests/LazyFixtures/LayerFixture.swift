public import Base
public import Codecs
public import ContentStore
public import LayerIndex
import TestSupport

/// A layer for tests, made of entries and a blob. Each chunk is an extent of its own, unless its file is packed.
///
/// The blob holds each entry's path, and noise before each extent, in place of tar headers. So two layers never have
/// the same blob, and a reader notices if it reads too much.
public struct LayerFixture: Sendable {
    /// The content of a regular file, and its division into chunks.
    public struct File: Sendable {
        public var bytes: [UInt8]
        /// The end offset of each chunk in ``bytes``.
        public var ends: [Int]
        /// True if all chunks lie in one extent.
        public var isPacked: Bool
        /// The chunks of zeros, which the blob does not contain.
        public var zeroChunks: Set<Int>

        public init(bytes: [UInt8], ends: [Int], isPacked: Bool = false, zeroChunks: Set<Int> = []) {
            self.bytes = bytes
            self.ends = ends
            self.isPacked = isPacked
            self.zeroChunks = zeroChunks
        }

        /// Creates a file with chunks of `chunkSize` bytes.
        public init(bytes: [UInt8], chunkSize: Int, isPacked: Bool = false, zeroChunks: Set<Int> = []) {
            self.init(
                bytes: bytes,
                ends: stride(from: 0, to: bytes.count, by: chunkSize).map { min($0 + chunkSize, bytes.count) },
                isPacked: isPacked, zeroChunks: zeroChunks)
        }
    }

    public private(set) var blob: [UInt8] = []
    /// The regular files in the order in which they were added.
    public private(set) var files: [File] = []
    /// The range of chunk numbers of each file.
    public private(set) var chunks: [Range<Int>] = []
    private let codec: Codec
    private var entries: [LayerEntry] = []
    private var extents: [ByteRange] = []
    private var prefetchEnd: Int?

    public init(codec: Codec = .raw) {
        self.codec = codec
    }

    /// Creates a layer with `files`, named `file-0` and so on. The first `prefetchFiles` lie before the landmark.
    public init(_ files: [File], codec: Codec = .gzip, prefetchFiles: Int? = nil) {
        self.init(codec: codec)
        for (number, file) in files.enumerated() {
            if number == prefetchFiles { prefetchEnd = blob.count }
            self.file("file-\(number)", file)
        }
    }

    /// Creates a layer with files of the given sizes in bytes, in chunks of at most 1 MiB.
    public init(sizes: [Int], seed: UInt64, prefetchFiles: Int? = nil) {
        self.init(
            sizes.enumerated().map {
                File(bytes: Samples.text(bytes: $1, seed: seed &+ UInt64($0)), chunkSize: 1 << 20)
            },
            prefetchFiles: prefetchFiles)
    }

    /// Adds an entry without content.
    public mutating func add(
        _ path: String, _ kind: EntryKind, mode: UInt16, uid: UInt32 = 0, gid: UInt32 = 0, link: String = "",
        device: (major: UInt32, minor: UInt32) = (0, 0), xattrs: [(name: String, value: [UInt8])] = [],
        modified: (seconds: Int64, nanoseconds: UInt32) = (1_700_000_000, 0)
    ) {
        var entry = LayerEntry(path: Array(path.utf8), kind: kind)
        entry.attributes.mode = mode
        entry.attributes.uid = uid
        entry.attributes.gid = gid
        entry.attributes.modifiedSeconds = modified.seconds
        entry.attributes.modifiedNanoseconds = modified.nanoseconds
        entry.attributes.deviceMajor = device.major
        entry.attributes.deviceMinor = device.minor
        entry.linkTarget = Array(link.utf8)
        entry.xattrs = xattrs.map { (Array($0.name.utf8), $0.value) }
        blob += path.utf8
        entries.append(entry)
    }

    /// Adds a directory.
    public mutating func directory(_ path: String, mode: UInt16 = 0o755) {
        add(path, .directory, mode: mode)
    }

    /// Adds a regular file with chunks of `chunk` bytes.
    public mutating func file(
        _ path: String, _ bytes: [UInt8] = [], chunk: Int = 4 << 20, mode: UInt16 = 0o644, uid: UInt32 = 0,
        gid: UInt32 = 0, xattrs: [(name: String, value: [UInt8])] = []
    ) {
        file(path, File(bytes: bytes, chunkSize: chunk), mode: mode, uid: uid, gid: gid, xattrs: xattrs)
    }

    /// Adds a regular file.
    public mutating func file(
        _ path: String, _ file: File, mode: UInt16 = 0o644, uid: UInt32 = 0, gid: UInt32 = 0,
        xattrs: [(name: String, value: [UInt8])] = []
    ) {
        var entry = LayerEntry(path: Array(path.utf8), kind: .regular)
        entry.attributes.mode = mode
        entry.attributes.uid = uid
        entry.attributes.gid = gid
        entry.attributes.size = UInt64(file.bytes.count)
        entry.attributes.modifiedSeconds = 1_700_000_000
        entry.xattrs = xattrs.map { (Array($0.name.utf8), $0.value) }
        blob += path.utf8
        if file.isPacked { appendExtent(file.bytes) }
        var start = 0
        for (number, end) in file.ends.enumerated() {
            let bytes = Array(file.bytes[start..<end])
            let isZeros = file.zeroChunks.contains(number)
            if !file.isPacked, !isZeros { appendExtent(bytes) }
            entry.pieces.append(
                ContentPiece(
                    fileOffset: UInt64(start), length: UInt64(bytes.count), digest: .of(bytes),
                    extent: UInt32(max(extents.count, 1) - 1), innerOffset: file.isPacked ? UInt64(start) : 0,
                    isZeros: isZeros))
            start = end
        }
        let first = chunks.last?.upperBound ?? 0
        chunks.append(first..<first + file.ends.count)
        files.append(file)
        entries.append(entry)
    }

    private mutating func appendExtent(_ bytes: [UInt8]) {
        blob += Samples.noise(bytes: 50, seed: UInt64(blob.count))
        let member = Compressed.member(bytes, codec: codec)
        extents.append(ByteRange(offset: UInt64(blob.count), end: UInt64(blob.count + member.count)))
        blob += member
    }

    /// The blob's digest.
    public var digest: Digest { .of(blob) }
    /// A key with which a store may contain the layer.
    public var key: LayerKey { LayerKey(digest, .unverified(repository: "registry.example/app")) }

    /// Returns the layer's index.
    public func index() throws -> LayerIndexBytes {
        var builder = LayerIndexBuilder(blobDigest: digest, blobSize: UInt64(blob.count))
        let stored = ExtentCodec(rawValue: codec.rawValue) ?? .raw
        for extent in extents { _ = try builder.addExtent(extent, codec: stored) }
        for entry in entries { try builder.add(entry) }
        if let prefetchEnd { builder.setPrefetch(.blobPrefix(end: UInt64(prefetchEnd))) }
        return try builder.finish()
    }
}

extension StoredLayer {
    /// Reads the bytes of a chunk, even if the chunk is absent: a hole reads as zeros.
    public func bytes(ofChunk chunk: Int) throws -> [UInt8] {
        let range = chunks.chunk(chunk).content
        var bytes = [UInt8](repeating: 0xAA, count: Int(range.count))
        let count = try bytes.withUnsafeMutableBytes { try read(at: range.offset, into: $0) }
        return Array(bytes[..<count])
    }
}
