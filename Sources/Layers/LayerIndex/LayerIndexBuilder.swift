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
    /// The entries of directories, in the order of the archive.
    var directoryEntries: [DirectoryEntry] = []
    /// True if the parent directory of the current entry lies behind a symbolic link.
    var isBehindLinks = false
    /// The default access control lists of the directories that have one. Each new file below inherits the list, so
    /// it must not be searched in the directory's attributes each time.
    private var defaultLists: [UInt32: [UInt8]] = [:]
    /// The work of all entries so far that their own sizes do not show, in steps of a ``WorkMeter``: resolving symbolic
    /// links, and changing the attributes of a file that has many.
    public private(set) var hiddenSteps = 0
    /// The total ``RootPath/work`` of all paths that were resolved so far.
    private var followedBytes: UInt64 = 0
    var path: EntryPath
    /// A cache of the directories of the previous path, from the top down. Most entries are in the same directory as
    /// the entry before them.
    private var trail: [UInt32] = []

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
        try arena.take(memory: IndexLimits.memoryPerExtent)
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
    /// - Paths are cleaned as Go's `path.Clean("/" + name)` does. An entry for the root has no effect, as in
    ///   containerd.
    /// - Symbolic links of the layer are followed inside the layer's root, except for a link at the end of a path.
    /// - A parent directory without an entry is implied. It has mode 0755 and user 0. Its group is 0, or the group of
    ///   its own parent if that parent has the set-group-ID bit. If a lower layer has the directory, ``ChainMerger``
    ///   takes the attributes from that layer.
    /// - If several entries have the same name, the last one wins. If both the old and the new entry are directories,
    ///   the new entry sets the attributes and adds extended attributes. Otherwise, the new entry replaces the old
    ///   entry and everything below it.
    /// - An entry below anything but a directory is an error.
    /// - `.wh.NAME` becomes a character device 0:0 called NAME, and replaces an entry of that name. A later entry NAME
    ///   replaces the device. If the later entry is a directory, it merges with the lower layers' directory NAME, as
    ///   when containerd unpacks the layer.
    /// - `.wh..wh..opq` makes the directory that contains it opaque (`trusted.overlay.opaque`).
    /// - A hard link sets the attributes of its target, and drops the target's capabilities as chown(2) does. Links may
    ///   form chains. A link that comes before its target does not change the target, and ``finish()`` resolves that
    ///   link.
    /// - A time before 1970 or after 2262-04-11 becomes 1970-01-01 00:00:00, as in containerd.
    /// - Symbolic links have mode 0777, as on Linux.
    /// - Extended attributes are skipped if Linux could not set them: attributes of an unknown namespace, and `user.*`
    ///   of anything but regular files and directories. `trusted.*` is skipped, too, as in containerd.
    /// - A file inherits the default access control list that its directory has in the same layer. The mode of a file
    ///   changes the file's access control list, as chmod(2) does.
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
        let name = UnsafeRawBufferPointer(rebasing: bytes[last])
        guard name.starts(with: EntryPath.whiteoutPrefix) else {
            let node = try place(name, in: try parentDirectory(bytes), isDirectory: entry.kind == .directory)
            try fill(node, from: entry)
            if entry.kind == .directory { try note(directory: node, at: bytes) }
            return
        }
        if name.elementsEqual(Self.opaqueMarker) {
            let parent = try parentDirectory(bytes)
            arena.nodes[Int(parent)].flags.insert(.opaque)
        } else {
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
        isBehindLinks = false
        for depth in 0..<(path.names.count - 1) {
            let name = UnsafeRawBufferPointer(rebasing: bytes[path.names[depth]])
            if depth < trail.count, arena.name(of: trail[depth], equals: name) {
                node = trail[depth]
                continue
            }
            trail.removeSubrange(min(depth, trail.count)...)
            if let found = lookup(name, in: node), arena.linkTarget(of: found) != nil {
                // A later entry may replace the link, so the result is not kept.
                isBehindLinks = true
                return try parentBehindLinks(path.names.dropLast().map { Array(bytes[$0]) })
            }
            node = try directory(name, in: node)
            trail.append(node)
        }
        return node
    }

    private mutating func parentBehindLinks(_ names: [[UInt8]]) throws(LayerIndexError) -> UInt32 {
        var node: UInt32 = 0
        for name in try resolve(names) {
            node = try name.withUnsafeBufferPointer { (buffer) throws(LayerIndexError) -> UInt32 in
                try directory(UnsafeRawBufferPointer(buffer), in: node)
            }
        }
        return node
    }

    /// Resolves the symbolic links in the path `names` inside the layer's root, and returns the resulting path.
    mutating func resolve(_ names: [[UInt8]]) throws(LayerIndexError) -> [[UInt8]] {
        let before = Self.maximumFollowedBytes - followedBytes
        var budget = before
        defer {
            followedBytes += before - budget
            hiddenSteps += Int((before - budget) / 64)
        }
        return try RootPath(
            names, in: PathView(arena: arena, table: table), limits: limits, budget: &budget
        ).names
    }

    /// Returns the node called `name` in `parent`, or `nil` if there is none.
    func lookup(_ name: UnsafeRawBufferPointer, in parent: UInt32) -> UInt32? {
        table.find(NameTable.tag(parent: parent, name: name), parent: parent, name: name, in: arena)
    }

    /// The maximum total ``RootPath/work`` of all paths. Without this limit, a layer in which every entry lies below a
    /// chain of long links would take too much work.
    private static let maximumFollowedBytes = RootPath.maximumTotalWork

    /// Returns the directory called `name` in `parent`, and creates it if it is missing.
    private mutating func directory(
        _ name: UnsafeRawBufferPointer, in parent: UInt32
    ) throws(LayerIndexError) -> UInt32 {
        if let node = lookup(name, in: parent) {
            if arena.nodes[Int(node)].isDirectory { return node }
            guard arena.nodes[Int(node)].flags.contains(.whiteout) else {
                throw LayerIndexError(
                    .notADirectory, "an entry below \(String(decoding: name, as: UTF8.self)), which is not a directory")
            }
        }
        guard name.count <= IndexLimits.nameLength else {
            throw LayerIndexError(.invalidPath, "a name of \(name.count) bytes")
        }
        let node = try place(name, in: parent, isDirectory: true)
        let above = arena.nodes[Int(parent)]
        arena.nodes[Int(node)].mode = FileKind.directory.modeBits | 0o755
        // mkdir(2) takes the group of a directory with the set-group-ID bit.
        if above.mode & 0o2000 != 0 { arena.nodes[Int(node)].gid = above.gid }
        arena.nodes[Int(node)].flags.insert(.implied)
        if let inherited = defaultList(of: parent) {
            var list = ExtendedAttributeList()
            list.inherit(inherited, isDirectory: true)
            list.setMode(0o755)
            try store(&list, of: node)
        }
        return node
    }

    /// Returns the node for an entry called `name` in `parent`. If the entry is a directory and `parent` already has a
    /// directory of that name, the result is the existing node. Otherwise, the result is an empty node, which replaces
    /// any existing node of that name.
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
        if existing.isDirectory, isDirectory { return old }
        if existing.isDirectory || existing.flags.contains(.linked) {
            // The nodes below the old node keep it as their parent and are dropped with it. Hard links outlive it.
            let node = try arena.append(parent: parent, name: name)
            arena.nodes[Int(old)].flags.insert(.dead)
            table.replace(tag, at: old, with: node)
            trail.removeAll(keepingCapacity: true)
            return node
        }
        // Reuse the node, emptied.
        var node = NodeArena.Node()
        node.parent = parent
        node.nameOffset = existing.nameOffset
        node.nameLength = existing.nameLength
        arena.nodes[Int(old)] = node
        return old
    }

    /// Hides the lower layers' entry called `name` in `parent`. Replaces this layer's own entry of that name, if any.
    private mutating func whiteOut(_ name: UnsafeRawBufferPointer, in parent: UInt32) throws(LayerIndexError) {
        let node = try place(name, in: parent, isDirectory: false)
        arena.nodes[Int(node)].mode = FileKind.character.modeBits
        arena.nodes[Int(node)].flags.insert(.whiteout)
    }

    /// Returns the default access control list of a directory; `nil` if the directory has none.
    private func defaultList(of directory: UInt32) -> [UInt8]? {
        arena.nodes[Int(directory)].xattrLength > 0 ? defaultLists[directory] : nil
    }

    /// Stores `list` as the extended attributes of `node`.
    private mutating func store(_ list: inout ExtendedAttributeList, of node: UInt32) throws(LayerIndexError) {
        try arena.setXattrs(&list, of: node)
        hiddenSteps += Int(arena.nodes[Int(node)].xattrLength) / 16
        arena.nodes[Int(node)].flags.subtract([.capability, .accessList])
        if list.value(index: ExtendedAttributeName.securityIndex, name: ExtendedAttributeName.capabilitySuffix) != nil {
            arena.nodes[Int(node)].flags.insert(.capability)
        }
        if list.value(index: ExtendedAttributeName.aclAccessIndex) != nil {
            arena.nodes[Int(node)].flags.insert(.accessList)
        }
        guard arena.nodes[Int(node)].isDirectory else { return }
        defaultLists[node] = list.value(index: ExtendedAttributeName.aclDefaultIndex)
    }

    /// Fills node `index` from `entry`.
    private mutating func fill(_ index: UInt32, from entry: LayerEntry) throws(LayerIndexError) {
        let node = Int(index)
        if entry.kind == .hardlink { return try fillLink(index, from: entry) }
        guard let kind = entry.kind.fileKind else { return }
        let attributes = entry.attributes
        let isNew = arena.nodes[node].mode == 0
        if arena.nodes[node].flags.contains(.implied) {
            arena.nodes[node].flags.remove(.implied)
            arena.nodes[node].flags.insert(.inherits)
        }
        let permissions = kind == .symlink ? 0o777 : attributes.mode & 0o7777
        arena.nodes[node].mode = kind.modeBits | permissions
        try setOwner(node, attributes)
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
        let inherited = isNew && kind != .symlink ? defaultList(of: arena.nodes[node].parent) : nil
        // Without a list, a new mode changes no attribute.
        if !entry.xattrs.isEmpty || inherited != nil || arena.nodes[node].flags.contains(.accessList) {
            try setXattrs(index, entry.xattrs, inherited: inherited)
        }
    }

    /// Sets the owner, group and modification time of a node.
    private mutating func setOwner(_ node: Int, _ attributes: NodeAttributes) throws(LayerIndexError) {
        guard attributes.modifiedNanoseconds < 1_000_000_000 else {
            throw LayerIndexError(.invalidEntry, "\(attributes.modifiedNanoseconds) nanoseconds in a time")
        }
        // chown(2) takes -1 for no change.
        if attributes.uid != .max { arena.nodes[node].uid = attributes.uid }
        if attributes.gid != .max { arena.nodes[node].gid = attributes.gid }
        let isInRange = (0..<Self.endOfTime).contains(attributes.modifiedSeconds)
        arena.nodes[node].modifiedSeconds = isInRange ? attributes.modifiedSeconds : 0
        arena.nodes[node].modifiedNanoseconds = isInRange ? attributes.modifiedNanoseconds : 0
    }

    /// The end of the accepted modification times, in seconds since 1970. A signed 64-bit count of nanoseconds
    /// overflows during this second, in the year 2262.
    private static let endOfTime = Int64.max / 1_000_000_000

    /// Makes node `index` a hard link. If the target is already in the layer, the target gets the attributes in
    /// `entry`, because both names belong to one file.
    private mutating func fillLink(_ index: UInt32, from entry: LayerEntry) throws(LayerIndexError) {
        let node = Int(index)
        // The type bits stay 0: the node has no attributes of its own.
        arena.nodes[node].flags.insert(.hardLink)
        hardLinks.append(index)
        if let found = try find(entry.linkTarget), found != index {
            let link = arena.nodes[Int(found)]
            let target = link.flags.isSuperset(of: [.hardLink, .resolved]) ? link.payload : found
            let isFile = !arena.nodes[Int(target)].flags.contains(.hardLink) && !arena.nodes[Int(target)].isDirectory
            if isFile, !arena.nodes[Int(target)].flags.contains(.whiteout) {
                arena.nodes[node].flags.insert(.resolved)
                arena.nodes[node].payload = target
                arena.nodes[Int(target)].flags.insert(.linked)
                return try changeAttributes(target, entry)
            }
        }
        arena.nodes[node].size = UInt64(entry.linkTarget.count)
        arena.nodes[node].payload = try store(entry.linkTarget)
    }

    /// Gives the file `target` the attributes in `entry`, which is the entry of a hard link to that file.
    private mutating func changeAttributes(_ target: UInt32, _ entry: LayerEntry) throws(LayerIndexError) {
        let node = Int(target)
        try setOwner(node, entry.attributes)
        if arena.nodes[node].kind != .symlink {
            arena.nodes[node].mode = arena.nodes[node].mode & 0xF000 | entry.attributes.mode & 0o7777
        }
        if arena.nodes[node].flags.contains(.capability) {
            var list = arena.xattrs(of: target)
            list.remove(index: ExtendedAttributeName.securityIndex, name: ExtendedAttributeName.capabilitySuffix)
            try store(&list, of: target)
        }
        if !entry.xattrs.isEmpty || arena.nodes[node].flags.contains(.accessList) {
            try setXattrs(target, entry.xattrs, inherited: nil)
        }
    }

    /// Returns the node at a hard link's target path; `nil` if there is none. Follows symbolic links of the layer,
    /// except a link at the end of the path.
    mutating func find(_ target: [UInt8]) throws(LayerIndexError) -> UInt32? {
        guard !target.contains(0) else { throw LayerIndexError(.invalidPath, "a NUL byte in a path") }
        var names = target.split(separator: 0x2F).map { Array($0) }.filter { $0 != [0x2E] }
        guard let last = names.popLast(), last != [0x2E, 0x2E], last.count <= IndexLimits.nameLength else { return nil }
        guard names.count < limits.depth, target.count <= limits.pathLength else {
            throw LayerIndexError(.limit, "a link target of \(target.count) bytes")
        }
        let view = PathView(arena: arena, table: table)
        var node: UInt32 = 0
        var isDirect = true
        for name in names {
            guard case .directory(let next) = try view.find(name, in: node) else {
                isDirect = false
                break
            }
            node = next
        }
        if !isDirect {
            node = 0
            for name in try resolve(names) {
                guard case .directory(let next) = try view.find(name, in: node) else { return nil }
                node = next
            }
        }
        return last.withUnsafeBufferPointer { lookup(UnsafeRawBufferPointer($0), in: node) }
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
        _ node: UInt32, _ xattrs: [(name: [UInt8], value: [UInt8])], inherited: [UInt8]?
    ) throws(LayerIndexError) {
        let mode = arena.nodes[Int(node)].mode
        let kind = FileKind(mode: mode)
        var list = arena.xattrs(of: node)
        if let inherited { list.inherit(inherited, isDirectory: kind == .directory) }
        for (name, value) in xattrs {
            guard name.count <= IndexLimits.nameLength, value.count <= IndexLimits.extendedAttributeLength,
                !name.contains(0)
            else {
                throw LayerIndexError(
                    .limit, "an extended attribute with a name of \(name.count) and a value of \(value.count) bytes")
            }
            guard let split = name.withUnsafeBytes({ ExtendedAttributeName.split($0) }) else { continue }
            switch split.index {
            case ExtendedAttributeName.trustedIndex: continue
            case ExtendedAttributeName.userIndex where kind != .regular && kind != .directory: continue
            case ExtendedAttributeName.aclAccessIndex, ExtendedAttributeName.aclDefaultIndex:
                guard kind != .symlink, let list = AccessControlList(value) else { continue }
                if list.isEmpty { break }
            default: break
            }
            list.set(index: split.index, name: Array(name[split.prefix...]), value: value)
        }
        list.normalize()
        list.dropEmptyLists()
        list.setMode(mode)
        try store(&list, of: node)
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
            try arena.take(memory: IndexLimits.memoryPerChunk)
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

/// A view of a builder's nodes, in which ``RootPath`` resolves paths.
private struct PathView: PathTree {
    let arena: NodeArena
    let table: NameTable

    var rootNode: UInt32 { 0 }

    func find(_ name: [UInt8], in parent: UInt32) throws(LayerIndexError) -> PathEntry<UInt32> {
        let found = name.withUnsafeBytes { name in
            table.find(NameTable.tag(parent: parent, name: name), parent: parent, name: name, in: arena)
        }
        guard let found else { return .absent }
        if arena.nodes[Int(found)].isDirectory { return .directory(found) }
        return arena.linkTarget(of: found).map { .symbolicLink(Array($0)) } ?? .other
    }
}
