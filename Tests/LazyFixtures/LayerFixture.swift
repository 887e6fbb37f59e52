public import Base
import ContentStore
public import LayerIndex

/// Describes a layer for a test: entries, and a blob in which each chunk lies uncompressed.
public struct LayerFixture: Sendable {
    public private(set) var blob: [UInt8] = []
    private var entries: [LayerEntry] = []
    private var extents: [ByteRange] = []

    public init() {}

    /// Adds any entry without content.
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
        entries.append(entry)
    }

    /// Adds a regular file of `bytes`, cut into chunks of `chunk` bytes.
    public mutating func file(
        _ path: String, _ bytes: [UInt8] = [], chunk: Int = 4 << 20, mode: UInt16 = 0o644, uid: UInt32 = 0,
        gid: UInt32 = 0, xattrs: [(name: String, value: [UInt8])] = []
    ) {
        var entry = LayerEntry(path: Array(path.utf8), kind: .regular)
        entry.attributes.mode = mode
        entry.attributes.uid = uid
        entry.attributes.gid = gid
        entry.attributes.size = UInt64(bytes.count)
        entry.attributes.modifiedSeconds = 1_700_000_000
        entry.xattrs = xattrs.map { (Array($0.name.utf8), $0.value) }
        var offset = 0
        while offset < bytes.count {
            let piece = bytes[offset..<min(offset + chunk, bytes.count)]
            entry.pieces.append(
                ContentPiece(
                    fileOffset: UInt64(offset), length: UInt64(piece.count), digest: Digest.of(Array(piece)),
                    extent: UInt32(extents.count), innerOffset: 0))
            extents.append(ByteRange(offset: UInt64(blob.count), end: UInt64(blob.count + piece.count)))
            blob += piece
            offset += piece.count
        }
        entries.append(entry)
    }

    public mutating func directory(_ path: String, mode: UInt16 = 0o755) {
        add(path, .directory, mode: mode)
    }

    /// The blob's digest; that of an empty layer is told apart by its entries.
    public var digest: Digest {
        Digest.of(blob + entries.flatMap(\.path))
    }

    /// The layer's index, for a blob of this digest; its own when none is given.
    public func index(boundTo blob: Digest? = nil) throws -> LayerIndexBytes {
        var builder = LayerIndexBuilder(blobDigest: blob ?? digest, blobSize: UInt64(self.blob.count))
        for extent in extents { _ = try builder.addExtent(extent, codec: .raw) }
        for entry in entries { try builder.add(entry) }
        return try builder.finish()
    }
}
