public import Base

/// A builder of one layer's index from the layer's entries, in the order of the archive.
///
///     var builder = LayerIndexBuilder(blobDigest: digest, blobSize: size)
///     let extent = try builder.addExtent(range, codec: .gzip)
///     try builder.add(entry)        // for each entry; its pieces name the extents
///     let index = try builder.finish()
///
/// The result depends only on the input. The builder's memory is a few flat arrays, freed by ``finish()``.
public struct LayerIndexBuilder: ~Copyable {
    struct ExtentRecord {
        var range: ByteRange
        var codec: ExtentCodec
        var restart: ExtentRestart?
    }

    struct PieceRecord {
        var digest: Digest
        var length: UInt32
        var extent: UInt32
        var innerOffset: UInt32
        var isZeros: Bool
    }

    let layer: Digest
    let blobDigest: Digest
    let blobSize: UInt64
    let limits: IndexLimits
    var prefetch = PrefetchHint.unknown
    var windows: WindowsBlob?
    var arena: NodeArena
    var table = NameTable()
    var extents: [ExtentRecord] = []
    var pieces: [PieceRecord] = []
    var hardLinks: [UInt32] = []
    /// The total length in bytes of the symbolic links' targets that were followed so far.
    private var followedBytes: UInt64 = 0
    private var path: EntryPath
    /// A cache of the directories of the previous path, from the top down. Most entries are in the same directory as
    /// the entry before them.
    private var trail: [UInt32] = []

    static let whiteoutMetaPrefix = Array(".wh..wh.".utf8)
    static let opaqueMarker = Array(".wh..wh..opq".utf8)

    /// Creates a builder without entries.
    ///
    /// - Parameters:
    ///   - layer: the digest of the layer, which becomes the name of its device slot in the tree; `nil` means
    ///     `blobDigest`.
    ///   - blobDigest: the digest of the blob that contains the extents.
    ///   - blobSize: the compressed size of the blob in bytes. No extent may end after the blob.
    public init(layer: Digest? = nil, blobDigest: Digest, blobSize: UInt64, limits: IndexLimits = .standard) {
        self.layer = layer ?? blobDigest
        self.blobDigest = blobDigest
        self.blobSize = blobSize
        let limits = limits.clamped()
        self.limits = limits
        arena = NodeArena(limits: limits)
        path = EntryPath(limits: limits)
    }

    /// Sets the producer's hint about the data that a container needs early.
    public mutating func setPrefetch(_ hint: PrefetchHint) {
        prefetch = hint
    }

    /// Adds a decodable piece of the blob and returns its number for ``ContentPiece/extent``. Extents may be added in
    /// any order, but must not overlap. An extent that no piece uses is not stored.
    public mutating func addExtent(_ range: ByteRange, codec: ExtentCodec) throws(LayerIndexError) -> UInt32 {
        try check(range)
        guard extents.count < limits.chunkCount else {
            throw LayerIndexError(.limit, "more than \(limits.chunkCount) extents")
        }
        let start = ExtentRestart(bitCount: 0, bits: 0, window: ByteRange(offset: 0, end: 0), windowChecksum: 0)
        extents.append(ExtentRecord(range: range, codec: codec, restart: codec == .deflate ? start : nil))
        return UInt32(extents.count - 1)
    }

    func check(_ range: ByteRange) throws(LayerIndexError) {
        guard range.end <= blobSize else {
            throw LayerIndexError(.invalidEntry, "extent \(range) ends after the blob's \(blobSize) bytes")
        }
        guard !range.isEmpty else { throw LayerIndexError(.invalidEntry, "an empty extent") }
        guard range.count <= limits.extentLength else {
            throw LayerIndexError(.limit, "an extent of \(range.count) bytes")
        }
    }

    /// Adds an entry.
    ///
    /// - The builder cleans paths like Go's `path.Clean("/" + name)`. An entry for the root has no effect, as in
    ///   containerd.
    /// - If a parent directory in the path is a symbolic link of this layer, the builder follows the link. As in a
    ///   chroot, the link cannot leave the layer's root.
    /// - A parent directory without an entry is implied. It has mode 0755, user 0 and group 0. If a lower layer has the
    ///   directory, ``ChainMerger`` uses the attributes of the lower layer.
    /// - If several entries have the same name, the last one wins, as when containerd unpacks the archive. If both are
    ///   directories, the new one replaces the old attributes and adds to the extended attributes. Otherwise, the new
    ///   entry replaces the old entry and everything in it, and hides the lower layers' entries of that name.
    /// - A path that leads through anything but a directory, a symbolic link or a whiteout is an error.
    /// - `.wh.NAME` becomes a character device 0:0 called NAME: overlayfs's whiteout. If the layer also has an entry
    ///   NAME, before or after the whiteout, only that entry remains. If NAME is a directory, it becomes opaque,
    ///   because a whiteout hides everything that lower layers have at NAME (OCI image-spec, layer.md, "Whiteouts").
    /// - `.wh..wh..opq` makes its directory opaque (`trusted.overlay.opaque`). Other names that begin with `.wh..wh.`
    ///   belong to AUFS. The builder skips them, and everything inside a directory called `.wh.*`.
    /// - ``finish()`` resolves hard links. A link may name another hard link, and may come before its target.
    /// - Symbolic links have mode 0777, as on Linux.
    /// - The builder skips extended attributes of an unknown namespace, because Linux could not set them. It also skips
    ///   overlayfs's own (`trusted.overlay.*`). One of these has an effect: `trusted.overlay.opaque` = `y` makes a
    ///   directory opaque.
    public mutating func add(_ entry: LayerEntry) throws(LayerIndexError) {
        try entry.path.withUnsafeBufferPointer { (buffer) throws(LayerIndexError) in
            try add(entry, at: UnsafeRawBufferPointer(buffer))
        }
    }

    private mutating func add(_ entry: LayerEntry, at bytes: UnsafeRawBufferPointer) throws(LayerIndexError) {
        try path.clean(bytes)
        guard let last = path.names.last else {
            return
        }
        for name in path.names.dropLast() where bytes[name].starts(with: EntryPath.whiteoutPrefix) { return }
        let name = UnsafeRawBufferPointer(rebasing: bytes[last])
        guard name.starts(with: EntryPath.whiteoutPrefix) else {
            let node = try place(name, in: try parentDirectory(bytes), isDirectory: entry.kind == .directory)
            return try fill(node, from: entry)
        }
        if name.elementsEqual(Self.opaqueMarker) {
            let parent = try parentDirectory(bytes)
            arena.nodes[Int(parent)].flags.insert(.opaque)
        } else if !name.starts(with: Self.whiteoutMetaPrefix) {
            let hidden = UnsafeRawBufferPointer(rebasing: name.dropFirst(EntryPath.whiteoutPrefix.count))
            guard !hidden.isEmpty, !hidden.elementsEqual([0x2E]), !hidden.elementsEqual([0x2E, 0x2E]) else {
                throw LayerIndexError(.invalidPath, "a whiteout of nothing")
            }
            try whiteOut(hidden, in: try parentDirectory(bytes))
        }
    }

    /// Returns the parent directory of the path in `bytes`, which ``path`` has cleaned. Creates missing directories.
    private mutating func parentDirectory(_ bytes: UnsafeRawBufferPointer) throws(LayerIndexError) -> UInt32 {
        var node: UInt32 = 0
        // `trail` does not cache paths through symbolic links, because a later entry may replace a link.
        var isCached = true
        for depth in 0..<(path.names.count - 1) {
            let name = UnsafeRawBufferPointer(rebasing: bytes[path.names[depth]])
            if isCached, depth < trail.count, arena.name(of: trail[depth], equals: name) {
                node = trail[depth]
                continue
            }
            if isCached { trail.removeSubrange(min(depth, trail.count)...) }
            if let found = lookup(name, in: node), isSymbolicLink(found) { isCached = false }
            guard let next = try directory(name, in: node, creates: true) else { return node }
            node = next
            if isCached { trail.append(node) }
        }
        return node
    }

    /// Returns the node called `name` in `parent`, or `nil` if there is none.
    func lookup(_ name: UnsafeRawBufferPointer, in parent: UInt32) -> UInt32? {
        table.find(NameTable.tag(parent: parent, name: name), parent: parent, name: name, in: arena)
    }

    private func isSymbolicLink(_ node: UInt32) -> Bool {
        let node = arena.nodes[Int(node)]
        return node.mode & 0xF000 == FileKind.symlink.modeBits && !node.flags.contains(.hardLink)
    }

    /// Returns the directory called `name` in `parent`. If that is a symbolic link, follows it without leaving the
    /// layer's root, as containerd does when it unpacks (continuity, `fs.RootPath`).
    ///
    /// - Parameter creates: true to create missing directories; false to return `nil` if one is missing.
    mutating func directory(
        _ name: UnsafeRawBufferPointer, in parent: UInt32, creates: Bool
    ) throws(LayerIndexError) -> UInt32? {
        var followed = 0
        return try directory(name, in: parent, creates: creates, followed: &followed)
    }

    /// The maximum number of symbolic links that the builder follows to resolve one component of a path. The number is
    /// from continuity, containerd's file system library.
    private static let maximumLinks = 255
    /// The maximum of ``followedBytes``. It bounds the work for a hostile layer in which the path of every entry leads
    /// through a chain of long symbolic links.
    private static let maximumFollowedBytes: UInt64 = 64 << 20

    private mutating func directory(
        _ name: UnsafeRawBufferPointer, in parent: UInt32, creates: Bool, followed: inout Int
    ) throws(LayerIndexError) -> UInt32? {
        if let node = lookup(name, in: parent) {
            if arena.nodes[Int(node)].isDirectory { return node }
            if isSymbolicLink(node) { return try follow(node, from: parent, creates: creates, followed: &followed) }
            guard creates else { return nil }
            guard arena.nodes[Int(node)].flags.contains(.whiteout) else {
                throw LayerIndexError(
                    .notADirectory, "an entry below \(String(decoding: name, as: UTF8.self)), which is not a directory")
            }
        }
        guard creates else { return nil }
        let node = try place(name, in: parent, isDirectory: true)
        arena.nodes[Int(node)].mode = FileKind.directory.modeBits | 0o755
        arena.nodes[Int(node)].flags.insert(.implied)
        return node
    }

    /// Returns the directory that the symbolic link `link` in `parent` refers to; `nil` if it is missing and `creates`
    /// is false.
    private mutating func follow(
        _ link: UInt32, from parent: UInt32, creates: Bool, followed: inout Int
    ) throws(LayerIndexError) -> UInt32? {
        followed += 1
        guard followed <= Self.maximumLinks else {
            throw LayerIndexError(.invalidPath, "an entry below more than \(Self.maximumLinks) symbolic links")
        }
        followedBytes += arena.nodes[Int(link)].size
        guard followedBytes <= Self.maximumFollowedBytes else {
            throw LayerIndexError(.limit, "too many entries below symbolic links")
        }
        let start = Int(arena.nodes[Int(link)].payload)
        let target = Array(arena.bytes[start..<start + Int(arena.nodes[Int(link)].size)])
        var node = target.first == 0x2F ? 0 : parent
        for component in target.split(separator: 0x2F) where component != [0x2E] {
            guard component != [0x2E, 0x2E] else {
                node = arena.nodes[Int(node)].parent
                continue
            }
            guard component.count <= IndexLimits.nameLength else {
                throw LayerIndexError(.invalidPath, "a symbolic link with a name of \(component.count) bytes")
            }
            guard let next = try directory(Array(component), in: node, creates: creates, followed: &followed) else {
                return nil
            }
            node = next
        }
        return node
    }

    private mutating func directory(
        _ name: [UInt8], in parent: UInt32, creates: Bool, followed: inout Int
    ) throws(LayerIndexError) -> UInt32? {
        try name.withUnsafeBufferPointer { (buffer) throws(LayerIndexError) -> UInt32? in
            try directory(UnsafeRawBufferPointer(buffer), in: parent, creates: creates, followed: &followed)
        }
    }

    /// Returns the node for a new entry called `name` in `parent`. If `parent` has a directory of that name, and the
    /// new entry is a directory, too, returns the existing node. Otherwise, returns an empty node, which replaces any
    /// existing node of that name.
    private mutating func place(
        _ name: UnsafeRawBufferPointer, in parent: UInt32, isDirectory: Bool
    ) throws(LayerIndexError) -> UInt32 {
        let tag = NameTable.tag(parent: parent, name: name)
        guard let old = table.find(tag, parent: parent, name: name, in: arena) else {
            let node = try arena.append(parent: parent, name: name)
            table.insert(tag, node)
            return node
        }
        let existing = arena.nodes[Int(old)]
        if existing.isDirectory {
            if isDirectory { return old }
            // The nodes in the old directory keep it as their parent. `markDead` drops them with it.
            let node = try arena.append(parent: parent, name: name)
            arena.nodes[Int(old)].flags.insert(.dead)
            arena.nodes[Int(node)].flags.formUnion(existing.flags.intersection(.opaque))
            table.replace(tag, at: old, with: node)
            trail.removeAll(keepingCapacity: true)
            return node
        }
        // Reuse the node, emptied. If it becomes a directory, it hides the lower layers' directories.
        var node = NodeArena.Node()
        node.parent = parent
        node.nameOffset = existing.nameOffset
        node.nameLength = existing.nameLength
        node.flags = .opaque
        arena.nodes[Int(old)] = node
        return old
    }

    /// Hides the lower layers' entry called `name` in `parent`.
    private mutating func whiteOut(_ name: UnsafeRawBufferPointer, in parent: UInt32) throws(LayerIndexError) {
        let tag = NameTable.tag(parent: parent, name: name)
        if let node = table.find(tag, parent: parent, name: name, in: arena) {
            arena.nodes[Int(node)].flags.insert(.opaque)
            return
        }
        let node = try arena.append(parent: parent, name: name)
        arena.nodes[Int(node)].mode = FileKind.character.modeBits
        arena.nodes[Int(node)].flags.insert(.whiteout)
        table.insert(tag, node)
    }

    /// Fills node `index` from `entry`.
    private mutating func fill(_ index: UInt32, from entry: LayerEntry) throws(LayerIndexError) {
        let node = Int(index)
        if entry.kind == .hardlink {
            // The type bits stay 0: the node has no attributes of its own.
            arena.nodes[node].flags.insert(.hardLink)
            arena.nodes[node].size = UInt64(entry.linkTarget.count)
            arena.nodes[node].payload = try store(entry.linkTarget)
            hardLinks.append(index)
            return
        }
        guard let kind = entry.kind.fileKind else { return }
        arena.nodes[node].flags.remove(.implied)
        let attributes = entry.attributes
        guard attributes.modifiedNanoseconds < 1_000_000_000 else {
            throw LayerIndexError(.invalidEntry, "\(attributes.modifiedNanoseconds) nanoseconds in a time")
        }
        let permissions = kind == .symlink ? 0o777 : attributes.mode & 0o7777
        arena.nodes[node].mode = kind.modeBits | permissions
        arena.nodes[node].uid = attributes.uid
        arena.nodes[node].gid = attributes.gid
        arena.nodes[node].modifiedSeconds = attributes.modifiedSeconds
        arena.nodes[node].modifiedNanoseconds = attributes.modifiedNanoseconds
        switch kind {
        case .regular:
            try setContent(node, size: attributes.size, to: entry.pieces)
        case .symlink:
            guard !entry.linkTarget.isEmpty, !entry.linkTarget.contains(0) else {
                throw LayerIndexError(.invalidEntry, "a symbolic link with an empty target or a NUL byte")
            }
            arena.nodes[node].size = UInt64(entry.linkTarget.count)
            arena.nodes[node].payload = try store(entry.linkTarget)
        case .character, .block:
            guard attributes.deviceMajor < 1 << 12, attributes.deviceMinor < 1 << 20 else {
                throw LayerIndexError(
                    .invalidEntry, "device number \(attributes.deviceMajor):\(attributes.deviceMinor)")
            }
            arena.nodes[node].payload = EROFS.encodeDevice(
                major: attributes.deviceMajor, minor: attributes.deviceMinor)
        case .directory, .fifo, .socket: break
        }
        if !entry.xattrs.isEmpty { try setXattrs(index, entry.xattrs) }
    }

    private mutating func store(_ target: [UInt8]) throws(LayerIndexError) -> UInt32 {
        guard target.count <= limits.pathLength else {
            throw LayerIndexError(.limit, "a link target of \(target.count) bytes")
        }
        return try target.withUnsafeBufferPointer { (buffer) throws(LayerIndexError) in
            try arena.store(UnsafeRawBufferPointer(buffer))
        }
    }

    private mutating func setXattrs(
        _ node: UInt32, _ xattrs: [(name: [UInt8], value: [UInt8])]
    ) throws(LayerIndexError) {
        var list = arena.xattrs(of: node)
        for (name, value) in xattrs {
            guard name.count <= IndexLimits.nameLength, value.count <= IndexLimits.extendedAttributeLength,
                !name.contains(0)
            else {
                throw LayerIndexError(
                    .limit, "an extended attribute with a name of \(name.count) and a value of \(value.count) bytes")
            }
            guard let split = name.withUnsafeBytes({ ExtendedAttributeName.split($0) }) else { continue }
            list.set(index: split.index, name: Array(name[split.prefix...]), value: value)
        }
        list.normalize()
        if list.saysOpaque { arena.nodes[Int(node)].flags.insert(.opaque) }
        list.removeOverlayNames()
        try arena.setXattrs(&list, of: node)
    }

    private mutating func setContent(
        _ node: Int, size: UInt64, to content: [ContentPiece]
    ) throws(LayerIndexError) {
        var end: UInt64 = 0
        let first = pieces.count
        for piece in content {
            guard piece.fileOffset == end, piece.length > 0, piece.length <= limits.chunkLength else {
                throw LayerIndexError(
                    .invalidEntry, "a piece of \(piece.length) bytes at \(piece.fileOffset) of a file, after \(end)")
            }
            guard piece.isZeros || Int(piece.extent) < extents.count else {
                throw LayerIndexError(.invalidEntry, "a piece in a nonexistent extent")
            }
            guard
                piece.isZeros
                    || piece.innerOffset <= limits.decodedLength
                        && piece.length <= limits.decodedLength - piece.innerOffset
            else {
                throw LayerIndexError(.limit, "a piece at \(piece.innerOffset) of an extent")
            }
            guard pieces.count < limits.chunkCount else {
                throw LayerIndexError(.limit, "more than \(limits.chunkCount) chunks")
            }
            pieces.append(
                PieceRecord(
                    digest: piece.digest, length: UInt32(piece.length), extent: piece.isZeros ? 0 : piece.extent,
                    innerOffset: piece.isZeros ? 0 : UInt32(piece.innerOffset), isZeros: piece.isZeros))
            end += piece.length
        }
        guard end == size else {
            throw LayerIndexError(.invalidEntry, "pieces of \(end) bytes for a file of \(size)")
        }
        arena.nodes[node].size = size
        arena.nodes[node].payload = UInt32(first)
        arena.nodes[node].extra = UInt32(content.count)
    }
}
