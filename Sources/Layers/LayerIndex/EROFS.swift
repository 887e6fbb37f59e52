/// The constants of the EROFS on-disk format that the writer and the reader share (Linux `fs/erofs/erofs_fs.h` and
/// Documentation/filesystems/erofs.rst).
///
/// Our images have 4 KiB blocks and metadata from block 0, so an inode's number is its byte offset divided by 32. The
/// device table follows the superblock, with one slot for each layer. Regular files are chunk-based with a single
/// 8-byte index. Inodes do not share extended attributes, and nothing is compressed.
enum EROFS {
    static let magic: UInt32 = 0xE0F5_E1E2
    static let superblockOffset = 1024
    static let blockBits: UInt8 = 12
    static let blockSize = 4096

    /// The offsets of the superblock's fields, in bytes.
    enum Field {
        static let magic = 0
        static let checksum = 4
        static let compatible = 8
        static let blockBits = 12
        static let rootNode = 14
        static let inodeCount = 16
        static let epoch = 24
        static let epochNanoseconds = 32
        static let blocks = 36
        static let metadataBlock = 40
        static let uuid = 48
        static let volumeName = 64
        static let incompatible = 80
        static let deviceCount = 86
        static let deviceTable = 88
    }

    /// The compatible features `SB_CHKSUM` and `MTIME`: the superblock has a checksum, and times are modification
    /// times.
    static let compatibleFeatures: UInt32 = 0x3
    /// The incompatible features `CHUNKED_FILE` and `DEVICE_TABLE`. Linux 5.16 and later mount images with these
    /// features.
    static let incompatibleFeatures: UInt32 = 0x4 | 0x8

    static let deviceSlotSize = 128
    /// The offset of the device table, in units of ``deviceSlotSize``. The table directly follows the superblock.
    static let deviceTableSlot: UInt16 = 9

    static let nodeUnit = 32
    static let compactInodeSize = 32
    static let extendedInodeSize = 64

    /// The data layouts of an inode: bits 1 to 3 of `i_format`.
    enum Layout {
        static let plain: UInt16 = 0
        static let inline: UInt16 = 2
        static let chunked: UInt16 = 4
    }

    static let chunkIndexes: UInt16 = 0x20
    static let chunkBitsMask: UInt16 = 0x1F
    static let direntSize = 12
    static let xattrHeaderSize = 12
    static let xattrEntrySize = 4
    static let noBlock: UInt32 = .max

    /// The volume name of an image without extended attributes. It identifies the writer and the version of our
    /// conventions.
    static let volumeName: StaticString = "rivulet-1"
    /// The volume name of an image in which some inodes have extended attributes. A reader looks for extended
    /// attributes only in an image with this name.
    static let volumeNameWithXattrs: StaticString = "rivulet-1+x"

    /// Returns the `file_type` of a directory entry for a file of this kind.
    static func entryType(_ kind: FileKind) -> UInt8 {
        switch kind {
        case .regular: 1
        case .directory: 2
        case .character: 3
        case .block: 4
        case .fifo: 5
        case .socket: 6
        case .symlink: 7
        }
    }

    /// Returns the kind of file for a directory entry's `file_type`; `nil` if the type is unknown.
    static func kind(entryType: UInt8) -> FileKind? {
        switch entryType {
        case 1: .regular
        case 2: .directory
        case 3: .character
        case 4: .block
        case 5: .fifo
        case 6: .socket
        case 7: .symlink
        default: nil
        }
    }

    /// Encodes a device number in 32 bits as Linux does (`new_encode_dev`): 12 bits of major, 20 of minor.
    static func encodeDevice(major: UInt32, minor: UInt32) -> UInt32 {
        minor & 0xFF | (major & 0xFFF) << 8 | (minor & 0xFFF00) << 12
    }

    static func decodeDevice(_ value: UInt32) -> (major: UInt32, minor: UInt32) {
        (value >> 8 & 0xFFF, value & 0xFF | value >> 12 & 0xFFF00)
    }

    /// Rounds `value` up to a multiple of `unit`, a power of two.
    @inline(__always)
    static func align(_ value: Int, to unit: Int) -> Int {
        (value + unit - 1) & ~(unit - 1)
    }

    /// Returns the number of blocks that `size` bytes take, rounded up.
    @inline(__always)
    static func blocks(_ size: UInt64) -> UInt64 {
        size / UInt64(blockSize) + (size % UInt64(blockSize) == 0 ? 0 : 1)
    }
}
