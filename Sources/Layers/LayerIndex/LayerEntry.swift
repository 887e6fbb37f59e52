public import Base

/// The kind of an entry in a layer's tar archive.
public enum EntryKind: UInt8, Sendable, CaseIterable {
    case directory, regular, symlink, hardlink, character, block, fifo, socket

    /// The kind of file that the entry creates; `nil` for a hard link, which creates only a name.
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
/// ``LayerIndexBuilder/add(_:)`` describes how paths are interpreted. A caller with many entries should reuse one
/// value, so that its arrays keep their memory.
public struct LayerEntry: Sendable {
    /// The name in the archive: raw bytes, not cleaned.
    public var path: [UInt8]
    public var kind: EntryKind
    /// The file's attributes, which are ignored for a hard link. Only the permission bits of the mode are used, because
    /// the type comes from ``kind``. The size is used only for a regular file. The builder computes the link count.
    public var attributes: NodeAttributes
    /// The target of a link. A symbolic link's target is stored unchanged. A hard link's target is a path in the same
    /// layer, cleaned like ``path``.
    public var linkTarget: [UInt8]
    /// Extended attributes by their full names (`security.capability`), with the values as the kernel stores them.
    public var xattrs: [(name: [UInt8], value: [UInt8])]
    /// The pieces of a regular file, in file order. They cover `[0, size)` exactly.
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

/// A separately verified part of a regular file. It becomes one chunk.
public struct ContentPiece: Sendable, Equatable {
    /// The piece's offset in the file, in bytes.
    public var fileOffset: UInt64
    /// The piece's length in bytes; not 0.
    public var length: UInt64
    /// The SHA-256 of the piece's bytes.
    public var digest: Digest
    /// The number of the extent that contains the piece, from ``LayerIndexBuilder/addExtent(_:codec:)``. Ignored if
    /// ``isZeros`` is true.
    public var extent: UInt32
    /// The piece's offset from the start of the decoded extent, in bytes. Ignored if ``isZeros`` is true.
    public var innerOffset: UInt64
    /// True if the piece is known to be all zeros, so that nothing has to be fetched for it.
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

/// The compression of an extent.
public enum ExtentCodec: UInt8, Sendable, CaseIterable {
    /// No compression.
    case raw = 0
    /// One or more gzip members (RFC 1952).
    case gzip = 1
    /// One or more Zstandard frames (RFC 8878).
    case zstd = 2
    /// A part of a DEFLATE stream (RFC 1951). The part starts at the beginning of a block, which may be in the middle
    /// of the stream. See ``ExtentRestart``.
    case deflate = 3
}

/// A hint from the layer's producer about the data that a container needs early.
public enum PrefetchHint: Sendable, Equatable {
    /// No hint.
    case unknown
    /// A hint that a container needs no data of the layer early.
    case nothing
    /// A hint that a container needs the first `end` bytes of the blob early.
    case blobPrefix(end: UInt64)
}

/// A finished layer index in its stored form. ``TreeImage`` and ``ChunkTable`` read it.
public struct LayerIndexBytes: Sendable {
    /// The tree: an EROFS image without data. Its size is a multiple of 4096.
    public var tree: [UInt8]
    /// The chunk table file, which also contains the extents.
    public var chunks: [UInt8]

    public init(tree: [UInt8], chunks: [UInt8]) {
        self.tree = tree
        self.chunks = chunks
    }
}
