public import Base
public import Linux

/// A tree written by ``LayerIndexBuilder`` or ``ChainMerger``: an EROFS image with the conventions in `EROFS`.
///
/// Inode numbers are those of EROFS, so they are always the same for the same image. Nothing is parsed ahead or cached:
/// every call reads the image's bytes, checks each offset that it follows, and allocates nothing.
///
/// Arbitrary bytes are safe. A call that reads invalid bytes throws ``LayerIndexErrorCode/corrupt``. The size of the
/// directory or attribute list that a call reads bounds the work of the call. A caller that walks the whole tree must
/// bound the depth, because in a hostile image a directory can contain itself.
public final class TreeImage: Sendable {
    let image: IndexBytes
    /// The root directory's inode number.
    public let rootInode: UInt64
    /// The digests that identify the layers, in the order of the device slots. The content spaces of these layers
    /// contain the bytes of the files.
    public let deviceTags: [Digest]
    /// The size of each layer's content space in bytes according to the tree, in the order of the device slots.
    public let deviceSizes: [UInt64]
    /// The number of inodes that the image claims to have. Use it only in reports, never to allocate memory.
    public let inodeCount: UInt64
    /// True if any inode has extended attributes.
    public let hasExtendedAttributes: Bool
    private let epochSeconds: Int64
    private let epochNanoseconds: UInt32

    /// The size of the image in bytes.
    public var byteCount: Int { image.count }

    /// Returns true if the image consists of these bytes.
    public func isEqual(to bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { $0.elementsEqual(image.bytes) }
    }

    /// Opens a copy of `bytes`.
    public convenience init(bytes: [UInt8]) throws(LayerIndexError) {
        try self.init(IndexBytes(copying: bytes))
    }

    /// Opens the image in `mapping`, and keeps the mapping alive.
    public convenience init(mapping: MappedFile) throws(LayerIndexError) {
        try self.init(IndexBytes(mapping))
    }

    init(_ image: IndexBytes) throws(LayerIndexError) {
        self.image = image
        let base = EROFS.superblockOffset
        guard image.count >= EROFS.blockSize, try image.load(UInt32.self, at: base) == EROFS.magic else {
            throw LayerIndexError(.foreign, "not an EROFS image")
        }
        // The checksum counts its own field as 0.
        let checksum = try image.load(UInt32.self, at: base + EROFS.Field.checksum)
        var state = CRC32C.update(.max, try image.slice(at: base, count: EROFS.Field.checksum))
        state = withUnsafeBytes(of: UInt32(0)) { CRC32C.update(state, $0) }
        state = CRC32C.update(state, try image.slice(at: base + 8, count: EROFS.blockSize - base - 8))
        guard state == checksum else { throw LayerIndexError(.corrupt, "checksum mismatch in the superblock") }
        let name = try image.slice(at: base + EROFS.Field.volumeName, count: 16)
        hasExtendedAttributes = Self.isNamed(name, EROFS.volumeNameWithXattrs)
        guard hasExtendedAttributes || Self.isNamed(name, EROFS.volumeName),
            try image.load(UInt32.self, at: base + EROFS.Field.incompatible) == EROFS.incompatibleFeatures,
            try image.load(UInt8.self, at: base + EROFS.Field.blockBits) == EROFS.blockBits,
            try image.load(UInt32.self, at: base + EROFS.Field.metadataBlock) == 0
        else {
            throw LayerIndexError(.foreign, "an EROFS image of another writer or version")
        }
        let blocks = try image.load(UInt32.self, at: base + EROFS.Field.blocks)
        guard Int(blocks) * EROFS.blockSize == image.count else {
            throw LayerIndexError(.corrupt, "the image has \(image.count) bytes, its superblock \(blocks) blocks")
        }
        rootInode = UInt64(try image.load(UInt16.self, at: base + EROFS.Field.rootNode))
        inodeCount = try image.load(UInt64.self, at: base + EROFS.Field.inodeCount)
        epochSeconds = try image.load(Int64.self, at: base + EROFS.Field.epoch)
        epochNanoseconds = try image.load(UInt32.self, at: base + EROFS.Field.epochNanoseconds)
        guard epochNanoseconds < 1_000_000_000 else { throw LayerIndexError(.corrupt, "a time out of range") }

        let deviceCount = Int(try image.load(UInt16.self, at: base + EROFS.Field.deviceCount))
        var slot = Int(try image.load(UInt16.self, at: base + EROFS.Field.deviceTable)) * EROFS.deviceSlotSize
        var tags: [Digest] = []
        var sizes: [UInt64] = []
        for _ in 0..<deviceCount {
            guard let tag = Digest(hex: try image.slice(at: slot, count: 64)) else {
                throw LayerIndexError(.corrupt, "a device without a digest")
            }
            tags.append(tag)
            sizes.append(UInt64(try image.load(UInt32.self, at: slot + 64)) * UInt64(EROFS.blockSize))
            slot += EROFS.deviceSlotSize
        }
        deviceTags = tags
        deviceSizes = sizes
        guard try inode(rootInode).kind == .directory else {
            throw LayerIndexError(.corrupt, "the root is not a directory")
        }
    }

    /// Releases the memory of a mapped image's pages. Later reads get them from the page cache again. Call this for a
    /// tree that was just read from end to end and is not read again soon.
    public func releaseResidentPages() {
        image.releaseResidentPages()
    }

    private static func isNamed(_ field: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        name.withUTF8Buffer { field.starts(with: $0) && field.dropFirst($0.count).allSatisfy { $0 == 0 } }
    }

    /// The decoded fixed part of an inode.
    struct Inode {
        var start: Int
        var layout: UInt16
        var mode: UInt16
        var kind: FileKind
        var size: UInt64
        /// The first data block, the device number or the chunk format, depending on layout and kind.
        var detail: UInt32
        var isCompact: Bool
        /// The size in bytes of the extended attributes after the fixed part.
        var xattrSize: Int

        var xattrStart: Int { start + (isCompact ? EROFS.compactInodeSize : EROFS.extendedInodeSize) }
        /// The offset in the image at which the extended attributes end. Inline data starts here. A chunk index starts
        /// at the next multiple of 8 bytes.
        var end: Int { xattrStart + xattrSize }
    }

    @inline(__always)
    func inode(_ number: UInt64) throws(LayerIndexError) -> Inode {
        guard number < UInt64(image.count / EROFS.nodeUnit) else { throw Self.corrupt("an inode outside the image") }
        let start = Int(number) * EROFS.nodeUnit
        let format = try image.load(UInt16.self, at: start)
        let isCompact = format & 1 == 0
        let mode = try image.load(UInt16.self, at: start + 4)
        guard format & ~0xF == 0, let kind = FileKind(mode: mode) else {
            throw Self.corrupt("an inode of an unknown kind")
        }
        let words = Int(try image.load(UInt16.self, at: start + 2))
        let size =
            isCompact
            ? UInt64(try image.load(UInt32.self, at: start + 8)) : try image.load(UInt64.self, at: start + 8)
        return Inode(
            start: start, layout: format >> 1, mode: mode, kind: kind, size: size,
            detail: try image.load(UInt32.self, at: start + 16), isCompact: isCompact,
            xattrSize: words == 0 ? 0 : EROFS.xattrHeaderSize + (words - 1) * 4)
    }

    @inline(never)
    static func corrupt(_ what: StaticString) -> LayerIndexError {
        LayerIndexError(.corrupt, "the tree is corrupt: \(what)")
    }

    /// Returns the stat(2) attributes of an inode.
    public func attributes(_ number: UInt64) throws(LayerIndexError) -> NodeAttributes {
        let inode = try inode(number)
        let start = inode.start
        var result = NodeAttributes(mode: inode.mode, size: inode.size)
        if inode.isCompact {
            result.linkCount = UInt32(try image.load(UInt16.self, at: start + 6))
            result.uid = UInt32(try image.load(UInt16.self, at: start + 24))
            result.gid = UInt32(try image.load(UInt16.self, at: start + 26))
            result.modifiedSeconds = epochSeconds
            result.modifiedNanoseconds = epochNanoseconds
        } else {
            result.uid = try image.load(UInt32.self, at: start + 24)
            result.gid = try image.load(UInt32.self, at: start + 28)
            result.modifiedSeconds = try image.load(Int64.self, at: start + 32)
            result.modifiedNanoseconds = try image.load(UInt32.self, at: start + 40)
            result.linkCount = try image.load(UInt32.self, at: start + 44)
            guard result.modifiedNanoseconds < 1_000_000_000 else { throw Self.corrupt("a time out of range") }
        }
        guard inode.size <= UInt64(Int64.max) else { throw Self.corrupt("a size out of range") }
        if inode.kind == .character || inode.kind == .block {
            (result.deviceMajor, result.deviceMinor) = EROFS.decodeDevice(inode.detail)
        }
        return result
    }

    /// Returns the position of a regular file's bytes: the layer, as its 0-based device slot, and the range in that
    /// layer's content space. Returns `nil` for an empty file.
    public func content(_ number: UInt64) throws(LayerIndexError) -> (device: Int, range: ByteRange)? {
        let inode = try inode(number)
        guard inode.kind == .regular else { throw Self.corrupt("content of something other than a regular file") }
        guard inode.size > 0 else { return nil }
        let format = UInt16(truncatingIfNeeded: inode.detail)
        let bits = UInt64(format & EROFS.chunkBitsMask)
        guard inode.layout == EROFS.Layout.chunked, format & ~EROFS.chunkBitsMask == EROFS.chunkIndexes,
            EROFS.blocks(inode.size) <= 1 << bits
        else {
            throw Self.corrupt("a file of more than one piece")
        }
        let entry = EROFS.align(inode.end, to: 8)
        let device = Int(try image.load(UInt16.self, at: entry + 2)) - 1
        let offset = UInt64(try image.load(UInt32.self, at: entry + 4)) * UInt64(EROFS.blockSize)
        guard try image.load(UInt16.self, at: entry) == 0, deviceSizes.indices.contains(device),
            offset <= deviceSizes[device], inode.size <= deviceSizes[device] - offset,
            let range = ByteRange(offset: offset, count: inode.size)
        else {
            throw Self.corrupt("a file outside its layer")
        }
        return (device, range)
    }

    /// The size in bytes of the longest link target: Linux's `PATH_MAX` without the final NUL.
    public static let longestLink = IndexLimits.linkLength

    /// Calls `body` with the target of a symbolic link and returns the result. The buffer points into the image.
    public func withSymbolicLink<Result>(
        _ number: UInt64, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(LayerIndexError) -> Result {
        let inode = try inode(number)
        guard inode.kind == .symlink, inode.size > 0, inode.size <= UInt64(Self.longestLink) else {
            throw Self.corrupt("an empty symbolic link, or something else")
        }
        let start: Int
        switch inode.layout {
        case EROFS.Layout.inline: start = inode.end
        case EROFS.Layout.plain: start = Int(inode.detail) * EROFS.blockSize
        default: throw Self.corrupt("a symbolic link of an unknown layout")
        }
        return body(try image.slice(at: start, count: Int(inode.size)))
    }

    /// Copies a symbolic link's target into `buffer` and returns the target's length in bytes. If `buffer` is shorter
    /// than the target, copies only the target's first bytes. A buffer of ``longestLink`` bytes can hold any target.
    public func readLink(
        _ number: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LayerIndexError) -> Int {
        try withSymbolicLink(number) { target in
            buffer.copyBytes(from: target.prefix(buffer.count))
            return target.count
        }
    }
}
