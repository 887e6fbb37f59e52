public import Base

/// What a layer's tar archive calls the kind of an entry.
public enum EntryKind: UInt8, Sendable, CaseIterable {
    case directory, regular, symlink, hardlink, character, block, fifo, socket

    /// The kind of file that the entry makes; `nil` for a hard link, which makes a name only.
    public var fileKind: FileKind? {
        switch self {
        case .directory: .directory
        case .regular: .regular
        case .symlink: .symlink
        case .hardlink: nil
        case .character: .character
        case .block: .block
        case .fifo: .fifo
        case .socket: .socket
        }
    }
}

/// One entry of a layer, as a tar-like format lists it.
///
/// Which bytes of the path mean what is said at ``LayerIndexBuilder/add(_:)``. A caller with many entries does well to
/// keep one value and overwrite it, so that its arrays keep their memory.
public struct LayerEntry: Sendable {
    /// The name in the archive: raw bytes, not cleaned.
    public var path: [UInt8]
    public var kind: EntryKind
    /// Only the permission bits of the mode count: the type comes from ``kind``. The link count is computed. Of the
    /// size, only that of a regular file counts. Ignored altogether for a hard link.
    public var attributes: NodeAttributes
    /// A symbolic link's target, taken as it is; a hard link's target, a path in the same layer, cleaned like ``path``.
    public var linkTarget: [UInt8]
    /// Extended attributes by their full names (`security.capability`), values as the kernel takes them.
    public var xattrs: [(name: [UInt8], value: [UInt8])]
    /// Where the bytes of a regular file lie: in file order, covering `[0, size)` exactly.
    public var pieces: [ContentPiece]

    public init(
        path: [UInt8] = [], kind: EntryKind = .regular, attributes: NodeAttributes = NodeAttributes(),
        linkTarget: [UInt8] = [], xattrs: [(name: [UInt8], value: [UInt8])] = [], pieces: [ContentPiece] = []
    ) {
        self.path = path
        self.kind = kind
        self.attributes = attributes
        self.linkTarget = linkTarget
        self.xattrs = xattrs
        self.pieces = pieces
    }
}

/// A part of a regular file that is verified as a whole: it becomes one chunk.
public struct ContentPiece: Sendable, Equatable {
    /// Where in the file it starts.
    public var fileOffset: UInt64
    /// Its bytes; not 0.
    public var length: UInt64
    /// The SHA-256 of its bytes.
    public var digest: Digest
    /// The extent that holds it: a result of ``LayerIndexBuilder/addExtent(_:codec:)``. Ignored for zeros.
    public var extent: UInt32
    /// Where in the decoded extent it starts. Ignored for zeros.
    public var innerOffset: UInt64
    /// Whether it is known to be all zeros, so that nothing has to be fetched for it.
    public var isZeros: Bool

    public init(
        fileOffset: UInt64, length: UInt64, digest: Digest, extent: UInt32, innerOffset: UInt64, isZeros: Bool = false
    ) {
        self.fileOffset = fileOffset
        self.length = length
        self.digest = digest
        self.extent = extent
        self.innerOffset = innerOffset
        self.isZeros = isZeros
    }
}

/// How an extent is compressed.
public enum ExtentCodec: UInt8, Sendable, CaseIterable {
    /// Not at all.
    case raw = 0
    /// One or more gzip members (RFC 1952).
    case gzip = 1
    /// One or more Zstandard frames (RFC 8878).
    case zstd = 2
    /// A DEFLATE stream (RFC 1951) from a block within it on: see ``ExtentRestart``.
    case deflate = 3
}

/// What the producer of a layer said of its first use.
public enum PrefetchHint: Sendable, Equatable {
    /// Nothing was said.
    case unknown
    /// Nothing in it is needed early.
    case nothing
    /// What lies in the blob before `end` is needed early.
    case blobPrefix(end: UInt64)
}

/// A finished layer index: what ``TreeImage`` and ``ChunkTable`` read, as it is stored.
public struct LayerIndexBytes: Sendable {
    /// The tree: an EROFS image without data. Its size is a multiple of 4096.
    public var tree: [UInt8]
    /// The chunk and extent tables.
    public var chunks: [UInt8]

    public init(tree: [UInt8], chunks: [UInt8]) {
        self.tree = tree
        self.chunks = chunks
    }
}
