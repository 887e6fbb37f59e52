public import Base
public import ContentStore
public import LayerIndex

/// The lazy-loading file system. Directories and attributes come from the trees of chains, and file contents from the
/// content store. A chain is a stack of image layers, identified by its chain key.
///
/// The root lists one directory for each mounted chain, named by the 64 hexadecimal digits of its chain key, and the
/// directory `content`. `content` has one read-only file for each layer of a mounted chain. That file holds the layer's
/// content space: the decoded bytes of all regular files in the layer, laid end to end. Trees never change. Only the
/// root and `content` change, when a chain is added or removed.
///
/// Any thread may make any call, and no call waits for the network. A read of bytes that are not in the store returns
/// the missing chunks (``Miss``). The file system knows nothing of FUSE: its interface has only node IDs, statuses and
/// errors.
public final class LazyFileSystem: Sendable {
    /// The appearance or disappearance of a name in the root or in `content`.
    public struct Change: Sendable {
        /// The changed directory: ``NodeID/root`` or ``NodeID/content``.
        public let directory: NodeID
        public let name: [UInt8]
        /// True if the name appeared; false if it disappeared.
        public let appeared: Bool
    }

    let source: any ChunkSource
    let table = Guarded(ChainTable())
    private let storeCapacity: @Sendable () -> StoreCapacity?
    private let observer = Guarded<(@Sendable (Change) -> Void)?>(nil)

    /// Creates a file system without chains.
    ///
    /// - Parameters:
    ///   - source: the supplier of missing chunks.
    ///   - capacity: returns the capacity of the store's own file system, for statfs(2); `nil` if it is unknown.
    public init(source: any ChunkSource, capacity: @escaping @Sendable () -> StoreCapacity?) {
        self.source = source
        storeCapacity = capacity
    }

    /// Mounts a chain, so that its directory appears in the root. Adding a chain again in the same slot changes
    /// nothing.
    ///
    /// - Parameters:
    ///   - id: the chain key.
    ///   - layers: one layer for each device of `tree`, in the same order (bottom first).
    ///   - slot: a number from 1 to ``NodeID/maximumSlot``. The chain must keep its slot over a restart that keeps the
    ///     mount. No other chain may use the slot while the mount lasts, because the kernel may hold nodes of a removed
    ///     chain indefinitely.
    /// - Throws: ``LazyFileSystemErrorCode/badSlot``, ``LazyFileSystemErrorCode/layersDoNotMatch``,
    ///   ``LazyFileSystemErrorCode/corrupt``.
    public func addChain(
        _ id: Digest, tree: TreeImage, layers: [StoredLayer], slot: UInt32
    ) throws(LazyFileSystemError) {
        guard tree.deviceTags == layers.map(\.key.id) else {
            throw LazyFileSystemError(
                .layersDoNotMatch,
                "the tree of chain \(id) has \(tree.deviceTags.count) devices that are not its \(layers.count) layers")
        }
        let chain = Chain(id: id, slot: slot, tree: tree, layers: layers.map(ReadLayer.init))
        _ = try chain.node(tree.rootInode)
        let outcome = table.withLock { table in
            Result { () throws(LazyFileSystemError) in try table.add(chain) }
        }
        if let appeared = try outcome.get() { notify(id, layers: appeared, appeared: true) }
    }

    /// Unmounts a chain. Nodes that the kernel still holds become stale, and running reads end normally. Does nothing
    /// for an unknown chain.
    public func removeChain(_ id: Digest) {
        if let gone = table.withLock({ $0.remove(id) }) { notify(id, layers: gone, appeared: false) }
    }

    /// Returns true if the chain is mounted.
    public func hasChain(_ id: Digest) -> Bool {
        table.withLock { $0.chain(id) != nil }
    }

    /// Returns true if a mounted chain contains the layer.
    ///
    /// - Parameter id: the layer's ``LayerKey/id``.
    public func hasLayer(_ id: Digest) -> Bool {
        table.withLock { $0.content.entry(id) != nil }
    }

    /// Returns the log of the first read of each of the chain's chunks since the chain was mounted; `nil` if the chain
    /// is not mounted.
    public func touches(ofChain id: Digest) -> TouchLog? {
        table.withLock { $0.chain(id)?.touches }
    }

    /// Sets the only handler of changes and replaces the previous one; `nil` removes it. The handler runs after each
    /// change, on the thread that made the change.
    public func onChange(_ handler: (@Sendable (Change) -> Void)?) {
        observer.withLock { $0 = handler }
    }

    private func notify(_ chain: Digest, layers: [Digest], appeared: Bool) {
        guard let handler = observer.withLock({ $0 }) else { return }
        handler(Change(directory: .root, name: Array(chain.hex.utf8), appeared: appeared))
        for layer in layers {
            handler(Change(directory: .content, name: Array(layer.hex.utf8), appeared: appeared))
        }
    }

    /// Returns the capacity to report in statfs(2): the capacity of the file system that holds the store. The reported
    /// number of inodes is at least the number of inodes in the mounted chains.
    public func capacity() -> StoreCapacity {
        var capacity =
            storeCapacity()
            ?? StoreCapacity(
                blockSize: 4096, blocks: 0, freeBlocks: 0, availableBlocks: 0, files: 0, freeFiles: 0)
        // btrfs does not count inodes.
        capacity.files = max(capacity.files, table.withLock { $0.inodeCount })
        return capacity
    }

    /// Returns the chain of `node`. Throws ``LazyFileSystemErrorCode/stale`` if no chain is mounted in the node's slot.
    func chain(of node: NodeID) throws(LazyFileSystemError) -> Chain {
        guard let chain = table.withLock({ $0.chain(inSlot: node.slot) }) else { throw .stale }
        return chain
    }
}
