/// What names a file, directory or link to the kernel: computed, never stored.
///
/// The high 24 bits are the slot of a chain, the low 40 the inode number (nid) in that chain's tree, so the same file has the
/// same number before and after a restart as long as chains keep their slots. Slot 0 is ours: the root of the mount,
/// the `content` directory and its files.
public struct NodeID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// The node `nid` of the chain in `slot`, or `nil` when one of them does not fit.
    @inlinable
    public init?(slot: UInt32, nid: UInt64) {
        guard slot < 1 << 24, nid < 1 << 40 else { return nil }
        rawValue = UInt64(slot) << 40 | nid
    }

    /// The slot of the chain; 0 for what belongs to none.
    @inlinable
    public var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 40) }

    /// The inode number in the chain's tree.
    @inlinable
    public var nid: UInt64 { rawValue & (1 << 40 - 1) }

    /// The mount's root (`FUSE_ROOT_ID`).
    public static let root = NodeID(rawValue: 1)
    /// The directory `content`.
    public static let content = NodeID(rawValue: 2)

    /// The highest slot that a chain may have. Lower than the layout allows: the table of slots is an array.
    public static let maximumSlot: UInt32 = 1 << 20 - 1
}
