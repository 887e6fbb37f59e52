public import Base
public import ContentStore
public import LayerIndex

/// What the kernel asks, answered from chain trees and the content store: attributes, names, bytes, or a miss.
///
/// The root lists one directory for each chain (its chain ID, 64 hexadecimal digits) and `content`, with one read-only file
/// for each layer that a chain has: its content space. Trees never change; only the root and `content` do, when a
/// chain is added or removed.
///
/// All calls are safe from any thread. None waits: a read whose bytes are not in the store says which chunks it lacks.
/// It knows nothing of FUSE: node ids, statuses and errors go in and out.
public final class LazyFileSystem: Sendable {
    /// A name that appeared below, or disappeared from, one of the two directories that change.
    public struct Change: Sendable {
        /// ``NodeID/root`` or ``NodeID/content``.
        public let directory: NodeID
        public let name: [UInt8]
        /// Whether it appeared.
        public let appeared: Bool
    }

    let source: any ChunkSource
    let table = Guarded(ChainTable())
    private let storeCapacity: @Sendable () -> StoreCapacity?
    private let observer = Guarded<(@Sendable (Change) -> Void)?>(nil)

    /// - Parameters:
    ///   - source: brings what is missing.
    ///   - capacity: what the file system of the store has left, asked for at each statfs(2); `nil` when it cannot be
    ///     told.
    public init(source: any ChunkSource, capacity: @escaping @Sendable () -> StoreCapacity?) {
        self.source = source
        storeCapacity = capacity
    }

    /// Mounts a chain: from here on its directory is there. Adding it again in the same slot changes nothing.
    ///
    /// - Parameters:
    ///   - layers: bottom first, one for each device of `tree`, in that order.
    ///   - slot: from 1 to ``NodeID/maximumSlot``. It must be the same after a restart that keeps the mount, and never
    ///     given to another chain while the mount lasts: the kernel may hold nodes of a removed chain for ever.
    /// - Throws: ``LazyFileSystemError/Code/badSlot``, ``LazyFileSystemError/Code/layersDoNotMatch``.
    public func addChain(
        _ id: Digest, tree: TreeImage, layers: [StoredLayer], slot: UInt32
    ) throws(LazyFileSystemError) {
        guard tree.deviceTags == layers.map(\.digest) else {
            throw LazyFileSystemError(
                .layersDoNotMatch,
                "the tree of chain \(id) has \(tree.deviceTags.count) devices that are not its \(layers.count) layers")
        }
        let chain = Chain(id: id, slot: slot, tree: tree, layers: layers.map(ReadLayer.init))
        _ = try chain.node(tree.rootInode)
        let outcome = table.withLock { table in
            Result { () throws(LazyFileSystemError) in try table.add(chain) }
        }
        if let appeared = try outcome.get() { notify(id, appeared, appeared: true) }
    }

    /// Unmounts a chain. Its nodes that the kernel still holds are stale from here on; reads that are under way end as
    /// they would have. Removing what is not there changes nothing.
    public func removeChain(_ id: Digest) {
        if let gone = table.withLock({ $0.remove(id) }) { notify(id, gone, appeared: false) }
    }

    /// Whether the chain's directory is there.
    public func hasChain(_ id: Digest) -> Bool {
        table.withLock { $0.chain(id) != nil }
    }

    /// Which pieces of the chain have been read since it was mounted; `nil` when it is not.
    public func touches(ofChain id: Digest) -> TouchLog? {
        table.withLock { $0.chain(id)?.touches }
    }

    /// `handler` is told of each change after it happened, on the thread that made it. There is one handler.
    public func onChange(_ handler: (@Sendable (Change) -> Void)?) {
        observer.withLock { $0 = handler }
    }

    private func notify(_ chain: Digest, _ layers: [Digest], appeared: Bool) {
        guard let handler = observer.withLock({ $0 }) else { return }
        handler(Change(directory: .root, name: Array(chain.hex.utf8), appeared: appeared))
        for layer in layers {
            handler(Change(directory: .content, name: Array(layer.hex.utf8), appeared: appeared))
        }
    }

    /// What statfs(2) says: the store's own file system, and at least as many inodes as the trees have.
    public func capacity() -> StoreCapacity {
        var capacity =
            storeCapacity()
            ?? StoreCapacity(
                blockSize: 4096, blocks: 0, freeBlocks: 0, availableBlocks: 0, files: 0, freeFiles: 0)
        // btrfs has no count of inodes.
        capacity.files = max(capacity.files, table.withLock { $0.inodeCount })
        return capacity
    }

    /// The chain that `node` belongs to.
    func chain(of node: NodeID) throws(LazyFileSystemError) -> Chain {
        guard let chain = table.withLock({ $0.chain(inSlot: node.slot) }) else { throw .stale }
        return chain
    }
}
