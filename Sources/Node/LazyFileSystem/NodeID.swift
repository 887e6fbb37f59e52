/// The number by which the kernel identifies a file, directory or link. It is computed, never stored.
///
/// The high 24 bits are the slot, the number under which ``LazyFileSystem/addChain(_:tree:layers:slot:)`` added the
/// file's chain. The low 40 bits are the inode number (nid) in that chain's tree. So a file keeps its node ID over a
/// restart as long as its chain keeps its slot. Slot 0 is reserved for the mount's root, the `content` directory and
/// its files.
public struct NodeID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Creates the ID of inode `nid` in the chain of `slot`; `nil` if either number is too large.
    @inlinable
    public init?(slot: UInt32, nid: UInt64) {
        guard slot < 1 << 24, nid < 1 << 40 else { return nil }
        rawValue = UInt64(slot) << 40 | nid
    }

    /// The slot of the chain; 0 for nodes that belong to no chain.
    @inlinable
    public var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 40) }

    /// The inode number in the chain's tree; in slot 0, the number of the root, of `content` or of a file in `content`.
    @inlinable
    public var nid: UInt64 { rawValue & (1 << 40 - 1) }

    /// The mount's root (`FUSE_ROOT_ID`).
    public static let root = NodeID(rawValue: 1)
    /// The directory `content`, which has one file for each layer of the mounted chains.
    public static let content = NodeID(rawValue: 2)

    /// The highest slot of a chain. The 24 bits would allow more. The limit bounds the memory of the table of slots,
    /// which is an array.
    public static let maximumSlot: UInt32 = 1 << 20 - 1
}
