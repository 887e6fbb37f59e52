import LayerIndex

/// The attributes of a node, as stat(2) reports them.
public struct NodeStatus: Hashable, Sendable {
    /// The node's ID, which is also its `st_ino`.
    public let id: NodeID
    /// The generation of ``id``. Two chains that use the same slot one after the other have different generations. If
    /// the generation of an ID changes, the kernel creates a new inode.
    public let generation: UInt32
    /// The type and permission bits.
    public let mode: UInt32
    public let uid: UInt32
    public let gid: UInt32
    public let linkCount: UInt32
    /// The size in bytes.
    public let size: UInt64
    public let modifiedSeconds: Int64
    public let modifiedNanoseconds: UInt32
    /// The major device number, if the node is a device.
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

    /// Creates the status of a synthetic directory or file. Root owns it, and its modification time is the start of
    /// 1970.
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

/// The result of a lookup.
public enum LookupResult: Hashable, Sendable {
    case found(NodeStatus)
    /// The name does not exist. If `forever` is false, the name may appear later, so the kernel must ask again.
    case absent(forever: Bool)
}

/// An entry of a directory that is being listed. Its name is valid only during the call that receives it.
public struct ListedNode {
    public let name: UnsafeRawBufferPointer
    public let node: NodeID
    /// The entry's `DT_` constant: the type bits of the mode, shifted right by 12.
    public let type: UInt8
    /// The cookie to pass to ``LazyFileSystem/list(_:from:_:)`` to continue after this entry.
    public let next: UInt64
}
