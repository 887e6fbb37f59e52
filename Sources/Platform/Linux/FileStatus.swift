import CLinux
import Glibc

/// The status of a file, from stat(2).
public struct FileStatus: Sendable, Equatable {
    /// The type of a file, from the top bits of its mode.
    public enum Kind: Sendable, Equatable {
        case regular, directory, symlink, character, block, fifo, socket, unknown
    }

    /// The device number of the file's file system. Together with ``inode``, this number identifies the file.
    public let device: UInt64
    public let inode: UInt64
    /// `st_mode`: type and permission bits.
    public let mode: UInt32
    public let linkCount: UInt64
    public let uid: UInt32
    public let gid: UInt32
    /// The major and minor device number of a device node.
    public let deviceMajor: UInt32
    public let deviceMinor: UInt32
    /// The length in bytes.
    public let size: UInt64
    /// The number of bytes allocated on the disk; holes do not count.
    public let allocatedBytes: UInt64
    public let modifiedSeconds: Int64
    public let modifiedNanoseconds: UInt32

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        mode = status.st_mode
        linkCount = UInt64(status.st_nlink)
        uid = status.st_uid
        gid = status.st_gid
        deviceMajor = rv_major(UInt64(status.st_rdev))
        deviceMinor = rv_minor(UInt64(status.st_rdev))
        size = UInt64(max(0, status.st_size))
        // st_blocks counts units of 512 bytes, whatever the file system's block size.
        allocatedBytes = UInt64(max(0, status.st_blocks)) &* 512
        modifiedSeconds = Int64(status.st_mtim.tv_sec)
        modifiedNanoseconds = UInt32(truncatingIfNeeded: status.st_mtim.tv_nsec)
    }

    public var kind: Kind {
        switch mode & S_IFMT {
        case S_IFREG: .regular
        case S_IFDIR: .directory
        case S_IFLNK: .symlink
        case S_IFCHR: .character
        case S_IFBLK: .block
        case S_IFIFO: .fifo
        case S_IFSOCK: .socket
        default: .unknown
        }
    }
}

/// The status of a file system, from statfs(2).
public struct FileSystemStatus: Sendable, Equatable {
    /// A file system's magic number (linux/magic.h).
    public struct Kind: RawRepresentable, Hashable, Sendable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) {
            self.rawValue = rawValue
        }

        /// The magic number that ext2, ext3 and ext4 share.
        public static let ext = Kind(rawValue: 0xEF53)
        public static let xfs = Kind(rawValue: 0x5846_5342)
        public static let btrfs = Kind(rawValue: 0x9123_683E)
        public static let overlay = Kind(rawValue: 0x794C_7630)
        public static let tmpfs = Kind(rawValue: 0x0102_1994)
        public static let ramfs = Kind(rawValue: 0x8584_58F6)
        public static let fuse = Kind(rawValue: 0x6573_5546)
        public static let nfs = Kind(rawValue: 0x6969)
        public static let erofs = Kind(rawValue: 0xE0F5_E1E2)
    }

    public let kind: Kind
    /// The size of a block in bytes: the unit of ``blocks``, ``freeBlocks`` and ``availableBlocks``.
    public let blockSize: UInt64
    public let blocks: UInt64
    public let freeBlocks: UInt64
    /// The number of free blocks that are not reserved for root.
    public let availableBlocks: UInt64
    public let files: UInt64
    public let freeFiles: UInt64
    /// The maximum length of a file name in bytes.
    public let nameLength: UInt64

    init(_ status: statfs) {
        kind = Kind(rawValue: UInt32(truncatingIfNeeded: status.f_type))
        blockSize = UInt64(max(0, status.f_bsize))
        blocks = UInt64(status.f_blocks)
        freeBlocks = UInt64(status.f_bfree)
        availableBlocks = UInt64(status.f_bavail)
        files = UInt64(status.f_files)
        freeFiles = UInt64(status.f_ffree)
        nameLength = UInt64(max(0, status.f_namelen))
    }

    public var availableBytes: UInt64 { availableBlocks.multipliedReportingOverflow(by: blockSize).partialValue }
    public var totalBytes: UInt64 { blocks.multipliedReportingOverflow(by: blockSize).partialValue }
}
