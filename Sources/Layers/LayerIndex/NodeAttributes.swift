/// The stat(2) attributes of a file.
public struct NodeAttributes: Sendable, Equatable {
    /// The file type and the permission bits, as in `st_mode`.
    public var mode: UInt16
    public var uid: UInt32
    public var gid: UInt32
    /// The modification time in seconds since 1970; negative before 1970.
    public var modifiedSeconds: Int64
    /// The nanoseconds after ``modifiedSeconds``: 0 to 999,999,999.
    public var modifiedNanoseconds: UInt32
    /// The number of the file's names. For a directory, it is 2 plus the number of subdirectories.
    /// ``LayerIndexBuilder`` and ``ChainMerger`` compute this number.
    public var linkCount: UInt32
    /// The size in bytes of a regular file or of a symbolic link's target; for a directory, the size of its entries in
    /// the tree's EROFS image.
    public var size: UInt64
    /// The major number of a character or block device: 12 bits, as in Linux.
    public var deviceMajor: UInt32
    /// The minor number of a character or block device: 20 bits, as in Linux.
    public var deviceMinor: UInt32

    public init(
        mode: UInt16 = 0, uid: UInt32 = 0, gid: UInt32 = 0, modifiedSeconds: Int64 = 0, modifiedNanoseconds: UInt32 = 0,
        linkCount: UInt32 = 1, size: UInt64 = 0, deviceMajor: UInt32 = 0, deviceMinor: UInt32 = 0
    ) {
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.modifiedSeconds = modifiedSeconds
        self.modifiedNanoseconds = modifiedNanoseconds
        self.linkCount = linkCount
        self.size = size
        self.deviceMajor = deviceMajor
        self.deviceMinor = deviceMinor
    }

    /// The kind of file, or `nil` if Linux does not know the type bits.
    public var kind: FileKind? { FileKind(mode: mode) }

    /// True for overlayfs's mark of a deleted file: a character device 0:0.
    public var isWhiteout: Bool { kind == .character && deviceMajor == 0 && deviceMinor == 0 }
}

/// Linux's kinds of files. The raw value is the `d_type` of readdir(3): the type bits of `st_mode` shifted right by 12.
public enum FileKind: UInt8, Sendable, CaseIterable {
    case fifo = 1
    case character = 2
    case directory = 4
    case block = 6
    case regular = 8
    case symlink = 10
    case socket = 12

    /// Creates the kind from the type bits of `mode`; `nil` if Linux does not know them.
    @inlinable
    public init?(mode: UInt16) {
        self.init(rawValue: UInt8(truncatingIfNeeded: mode >> 12))
    }

    /// The type bits of `st_mode`.
    @inlinable
    public var modeBits: UInt16 { UInt16(rawValue) << 12 }
}
