import Base

/// The tree under construction: flat arrays, without an object or string for each node.
///
/// A node is a *name*: a hard link is a separate node that points to its target. Node 0 is the root, and every other
/// node has a higher number than its parent.
struct NodeArena {
    struct Flags: OptionSet {
        let rawValue: UInt16

        /// A node that was replaced, or a descendant of a replaced node. It is not in the tree.
        static let dead = Flags(rawValue: 1)
        /// A whiteout. A later entry of the same name replaces the node.
        static let whiteout = Flags(rawValue: 2)
        /// A directory that hides the lower layers' entries at its path.
        static let opaque = Flags(rawValue: 4)
        /// A hard link. Once hard links are resolved, ``Node/payload`` is the number of the link's target node.
        static let hardLink = Flags(rawValue: 8)
        /// A node that is written as a 32-byte inode.
        static let compact = Flags(rawValue: 16)
        /// A node whose last partial block of data follows its inode.
        static let inline = Flags(rawValue: 32)
        /// A regular file with bytes in a layer's content space.
        static let hasContent = Flags(rawValue: 64)
        /// A directory without an entry of its own: it exists only because of the entries below it.
        static let implied = Flags(rawValue: 128)
        /// A directory whose entry came after entries below the directory. At first the directory was only implied, so
        /// it also takes extended attributes from the layers below.
        static let inherits = Flags(rawValue: 256)
        /// A node to which hard links point. Its file stays in the tree even if the node's own name is replaced.
        static let linked = Flags(rawValue: 512)
        /// A hard link whose ``Node/payload`` is already the number of its target node.
        static let resolved = Flags(rawValue: 1024)
        /// A node with the extended attribute `security.capability`.
        static let capability = Flags(rawValue: 2048)
        /// A node with an access control list.
        static let accessList = Flags(rawValue: 4096)
    }

    struct Node {
        var modifiedSeconds: Int64 = 0
        /// The size in bytes of a regular file or of a link's target. For a directory, ``TreeWriter`` sets the size of
        /// its entries.
        var size: UInt64 = 0
        var parent: UInt32 = 0
        var nameOffset: UInt32 = 0
        var uid: UInt32 = 0
        var gid: UInt32 = 0
        var modifiedNanoseconds: UInt32 = 0
        /// A value whose meaning depends on the node's kind:
        /// - symbolic link: the offset of its target in ``NodeArena/bytes``
        /// - hard link: the offset of its target path in ``NodeArena/bytes``; once links are resolved, the number of
        ///   its target node
        /// - device: its encoded device number
        /// - regular file: the number of its first piece; once content is laid out, the number of its first block in
        ///   the content space
        /// - directory: the number of its first data block, which ``TreeWriter`` sets and counts from
        ///   ``TreeWriter/dataStart``
        var payload: UInt32 = 0
        /// A second value whose meaning depends on the node's kind:
        /// - regular file: the number of its pieces; once content is laid out, its 0-based device slot
        /// - symbolic link: the number of its first data block, which ``TreeWriter`` sets and counts from
        ///   ``TreeWriter/dataStart``
        var extra: UInt32 = 0
        var xattrOffset: UInt32 = 0
        var xattrLength: UInt32 = 0
        var linkCount: UInt32 = 0
        var mode: UInt16 = 0
        var nameLength: UInt8 = 0
        var flags: Flags = []

        var isDirectory: Bool { mode & 0xF000 == 0x4000 && !flags.contains(.hardLink) }
        var isSymbolicLink: Bool { mode & 0xF000 == 0xA000 && !flags.contains(.hardLink) }
        var kind: FileKind? { FileKind(mode: mode) }
    }

    var nodes: [Node] = []
    /// The names and link targets of all nodes.
    var bytes: [UInt8] = []
    /// The encoded extended attributes of all nodes.
    var xattrs: [UInt8] = []

    private let metadataLimit: Int
    private let nodeLimit: Int
    private let memoryLimit: Int
    /// The estimated peak memory in bytes of what has been added (``IndexLimits/buildMemory``).
    private var memory = 0

    /// Creates an arena with a root directory of mode 0755, user 0 and group 0. `limits` must be clamped, because
    /// offsets and node numbers have 32 bits.
    init(limits: IndexLimits) {
        metadataLimit = limits.metadataBytes
        nodeLimit = limits.entryCount
        memoryLimit = limits.buildMemory
        var root = Node()
        root.mode = FileKind.directory.modeBits | 0o755
        nodes.append(root)
    }

    /// Adds a node without attributes and returns its number.
    mutating func append(parent: UInt32, name: UnsafeRawBufferPointer) throws(LayerIndexError) -> UInt32 {
        guard nodes.count < nodeLimit else {
            throw LayerIndexError(.limit, "more than \(nodeLimit) files")
        }
        try take(memory: IndexLimits.memoryPerNode)
        var node = Node()
        node.parent = parent
        node.nameOffset = try store(name)
        node.nameLength = UInt8(name.count)
        nodes.append(node)
        return UInt32(nodes.count - 1)
    }

    /// Appends `text` to ``bytes`` and returns the offset of the first appended byte.
    mutating func store(_ text: UnsafeRawBufferPointer) throws(LayerIndexError) -> UInt32 {
        try reserve(text.count)
        let offset = UInt32(bytes.count)
        bytes.append(contentsOf: text)
        return offset
    }

    /// Normalizes `list` and stores it as the extended attributes of `node`.
    mutating func setXattrs(_ list: inout ExtendedAttributeList, of node: UInt32) throws(LayerIndexError) {
        list.normalize()
        guard !list.entries.isEmpty else {
            nodes[Int(node)].xattrLength = 0
            return
        }
        var size = 0
        for entry in list.entries {
            size += EROFS.align(EROFS.xattrEntrySize + entry.name.count + entry.value.count, to: 4)
        }
        // The inode stores the size in 16 bits, in 4-byte words. The header counts as the first word.
        guard size / 4 < Int(UInt16.max) else {
            throw LayerIndexError(.limit, "a file's extended attributes take \(size) bytes")
        }
        let (start, length) = (Int(nodes[Int(node)].xattrOffset), Int(nodes[Int(node)].xattrLength))
        nodes[Int(node)].xattrLength = UInt32(size)
        if size <= length {
            // The same place again: a file that comes a hundred thousand times takes no more memory than once.
            var encoded: [UInt8] = []
            encoded.reserveCapacity(size)
            list.encode(to: &encoded)
            xattrs.replaceSubrange(start..<start + size, with: encoded)
        } else {
            try reserve(size)
            nodes[Int(node)].xattrOffset = UInt32(xattrs.count)
            list.encode(to: &xattrs)
        }
    }

    /// Returns the extended attributes of `node`.
    func xattrs(of node: UInt32) -> ExtendedAttributeList {
        let start = Int(nodes[Int(node)].xattrOffset)
        let length = Int(nodes[Int(node)].xattrLength)
        guard length > 0 else { return ExtendedAttributeList() }
        return xattrs[start..<start + length].withUnsafeBytes { ExtendedAttributeList(encoded: $0) }
    }

    /// Returns true if `node` has this name.
    @inline(__always)
    func name(of node: UInt32, equals name: UnsafeRawBufferPointer) -> Bool {
        let length = Int(nodes[Int(node)].nameLength)
        guard length == name.count else { return false }
        let start = Int(nodes[Int(node)].nameOffset)
        return bytes.withUnsafeBytes { Bytes.equal(UnsafeRawBufferPointer(rebasing: $0[start..<start + length]), name) }
    }

    /// Returns the target path of a symbolic link; `nil` for any other file. `node` may also be a resolved hard link to
    /// the symbolic link.
    func linkTarget(of node: UInt32) -> ArraySlice<UInt8>? {
        var found = nodes[Int(node)]
        if found.flags.isSuperset(of: [.hardLink, .resolved]) { found = nodes[Int(found.payload)] }
        guard found.isSymbolicLink else { return nil }
        return bytes[Int(found.payload)..<Int(found.payload) + Int(found.size)]
    }

    /// Computes all link counts, which must be 0 before. A directory's count is 2 plus the number of its
    /// subdirectories. Any other node's count is the number of its names.
    mutating func countLinks() {
        for index in nodes.indices where !nodes[index].flags.contains(.dead) {
            if nodes[index].isDirectory {
                nodes[index].linkCount += 2
                if index != 0 { nodes[Int(nodes[index].parent)].linkCount += 1 }
            } else if nodes[index].flags.contains(.hardLink) {
                nodes[Int(nodes[index].payload)].linkCount += 1
            } else {
                nodes[index].linkCount += 1
            }
        }
    }

    private mutating func reserve(_ count: Int) throws(LayerIndexError) {
        guard bytes.count + xattrs.count + count <= metadataLimit else {
            throw LayerIndexError(.limit, "names and attributes take more than \(metadataLimit) bytes")
        }
        try take(memory: count * IndexLimits.memoryPerByte)
    }

    /// Counts memory that building takes. Throws ``LayerIndexErrorCode/limit`` if it is too much.
    mutating func take(memory count: Int) throws(LayerIndexError) {
        guard count <= memoryLimit - memory else {
            throw LayerIndexError(.limit, "building takes more than \(memoryLimit) bytes of memory")
        }
        memory += count
    }
}
