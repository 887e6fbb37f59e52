public import Base
public import LayerIndex
public import Linux
import SystemPackage

extension ContentStore {
    /// Returns the merged tree of the chain `key`, opened once and shared; `nil` if there is no usable tree.
    ///
    /// The tree's `deviceTags` are the ``LayerKey/id``s of the chain's layers, bottom first. So the node can mount the
    /// chain from the store alone, without the registry.
    public func chain(_ key: ChainKey) throws(ContentStoreError) -> TreeImage? {
        try chains.value(key.id) { () throws(ContentStoreError) in try openChain(key) }
    }

    /// Opens the file with the merged tree of the chain `key` for reading. Use this to pass the file to another
    /// process.
    ///
    /// - Throws: `.io` if there is no such file.
    public func openTree(ofChain key: ChainKey) throws(ContentStoreError) -> OwnedDescriptor {
        try StoredLayer.open(chainDirectory(key) + "/tree.erofs")
    }

    /// Stores the merged tree of the chain `key`, and opens the tree. If the store already has a usable tree for `key`,
    /// this function returns the stored tree and ignores `tree`.
    ///
    /// - Throws: `.badIndex` if `tree` cannot be read back; `.noSpace`, `.readOnly`, `.io`.
    public func installChain(_ key: ChainKey, tree: [UInt8]) throws(ContentStoreError) -> TreeImage {
        // A container waits for this tree, and the space was taken when the layers were installed
        // (``install(_:index:)``).
        try? makeRoom(for: UInt64(tree.count), "the tree of chain \(key)")
        let chain = try chains.value(key.id) { () throws(ContentStoreError) in
            if let chain = try openChain(key) { return chain }
            try installNew(at: chainDirectory(key)) { (directory) throws(ContentStoreError) in
                let path = directory + "/tree.erofs"
                try ContentStoreError.wrapping("cannot store the tree of chain \(key)") { () throws(Errno) in
                    try Self.writeDurably(path, tree)
                }
                _ = try Self.orBadIndex("the tree of chain \(key)") { try Self.tree(path) }
            }
            return try openChain(key)
        }
        guard let chain else {
            throw ContentStoreError(.io, "the tree of chain \(key) is gone as soon as it is written")
        }
        return chain
    }

    /// Returns the merged tree of a chain as an EROFS image. Its `deviceTags` are the ``LayerKey/id``s of `layers`.
    ///
    /// - Parameters:
    ///   - layers: the chain's layers, bottom first.
    ///   - deadline: the deadline of the merge.
    public static func mergedTree(
        of layers: [StoredLayer], by deadline: WorkDeadline = .never
    ) throws(LayerIndexError) -> [UInt8] {
        try ChainMerger.merge(layers.map { ($0.tree, $0.digest) }, names: layers.map(\.key.id), by: deadline)
    }

    /// Returns the keys of the chains whose merged trees are on the disk.
    public func chainKeys() throws(ContentStoreError) -> [ChainKey] {
        try digests(in: "chains").map(ChainKey.init(id:))
    }

    /// Removes the tree of the chain `key`, if there is one. Code that has the tree open can still use it.
    public func removeChain(_ key: ChainKey) throws(ContentStoreError) {
        try chains.removing(key.id) { (_) throws(ContentStoreError) in
            try remove(chainDirectory(key))
            measured.withLock { $0.isStale = true }
        }
    }

    private func openChain(_ key: ChainKey) throws(ContentStoreError) -> TreeImage? {
        let directory = chainDirectory(key)
        return try openOrQuarantine(directory) { try Self.tree(directory + "/tree.erofs") }
    }

    private static func tree(_ path: String) throws -> TreeImage {
        var hasher = DigestHasher()
        let tree = try LayerOpener.readable(path, hashing: &hasher) { try TreeImage(mapping: $0) }
        // The check has read the whole file, but containers mostly read a small part of it.
        tree.releaseResidentPages()
        return tree
    }

    private func chainDirectory(_ key: ChainKey) -> String { "\(root)/chains/\(key.id.hex)" }
}
