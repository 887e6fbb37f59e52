import LayerIndex

/// What stat(2) says of a node.
public struct NodeStatus: Hashable, Sendable {
    /// The node; also its `st_ino`.
    public let id: NodeID
    /// Tells the nodes of one chain from those of another that had the same slot before it. The kernel makes a new inode
    /// when it differs.
    public let generation: UInt32
    /// Type and permission bits.
    public let mode: UInt32
    public let uid: UInt32
    public let gid: UInt32
    public let linkCount: UInt32
    /// Bytes.
    public let size: UInt64
    public let modifiedSeconds: Int64
    public let modifiedNanoseconds: UInt32
    /// The device that a device node stands for.
    public let deviceMajor: UInt32
    public let deviceMinor: UInt32

    init(id: NodeID, generation: UInt32, _ attributes: NodeAttributes) {
        self.id = id
        self.generation = generation
        mode = UInt32(attributes.mode)
        uid = attributes.uid
        gid = attributes.gid
        linkCount = attributes.linkCount
        size = attributes.size
        modifiedSeconds = attributes.modifiedSeconds
        modifiedNanoseconds = attributes.modifiedNanoseconds
        deviceMajor = attributes.deviceMajor
        deviceMinor = attributes.deviceMinor
    }

    /// A directory or a file of our own: root's, without a date.
    init(id: NodeID, mode: UInt32, linkCount: UInt32, size: UInt64) {
        self.id = id
        generation = 0
        self.mode = mode
        uid = 0
        gid = 0
        self.linkCount = linkCount
        self.size = size
        modifiedSeconds = 0
        modifiedNanoseconds = 0
        deviceMajor = 0
        deviceMinor = 0
    }

    /// The type bits (`S_IFMT`) of ``mode``.
    public var fileType: UInt32 { mode & 0o170000 }
    public var isDirectory: Bool { fileType == 0o040000 }
    public var isRegularFile: Bool { fileType == 0o100000 }
    public var isSymlink: Bool { fileType == 0o120000 }
}

/// What a name in a directory stands for.
public enum LookupResult: Hashable, Sendable {
    case found(NodeStatus)
    /// There is nothing of that name. `forever` is false where something of that name may appear later: the kernel must
    /// ask again.
    case absent(forever: Bool)
}

/// One entry while a directory is listed. The name is valid during the call that it is passed to.
public struct ListedNode {
    public let name: UnsafeRawBufferPointer
    public let node: NodeID
    /// `DT_DIR` and so on: the type bits of the mode, shifted right by 12.
    public let type: UInt8
    /// Where a listing that stops after this entry goes on.
    public let next: UInt64
}
