/// The capacity of the file system that holds the store, as `df` shows it.
public struct StoreCapacity: Hashable, Sendable {
    /// The size of a block in bytes.
    public var blockSize: UInt32
    public var blocks: UInt64
    public var freeBlocks: UInt64
    /// The part of ``freeBlocks`` that is not reserved for root.
    public var availableBlocks: UInt64
    /// The number of all inodes, used and free.
    public var files: UInt64
    public var freeFiles: UInt64

    public init(
        blockSize: UInt32, blocks: UInt64, freeBlocks: UInt64, availableBlocks: UInt64, files: UInt64, freeFiles: UInt64
    ) {
        self.blockSize = blockSize
        self.blocks = blocks
        self.freeBlocks = freeBlocks
        self.availableBlocks = availableBlocks
        self.files = files
        self.freeFiles = freeFiles
    }
}
