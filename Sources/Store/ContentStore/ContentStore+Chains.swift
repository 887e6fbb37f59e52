public import Base
public import LayerIndex
public import Linux
import SystemPackage

extension ContentStore {
    /// Returns the merged tree of the chain `id`, opened once and shared; `nil` if there is no usable tree.
    ///
    /// The tree's `deviceTags` are the digests of its layers, bottom first. So a chain can be mounted from the
    /// store alone, without the registry.
    public func chain(_ id: Digest) throws(ContentStoreError) -> TreeImage? {
        try chains.value(id) { () throws(ContentStoreError) in try openChain(id) }
    }

    /// Opens the file of the merged tree of the chain `id`, read-only, to pass the descriptor to another process.
    ///
    /// - Throws: `.io` if there is no such file.
    public func openTree(ofChain id: Digest) throws(ContentStoreError) -> OwnedDescriptor {
        try StoredLayer.open("\(root)/chains/\(id.hex)/tree.erofs")
    }

    /// Stores the merged tree of the chain `id` and opens it. If a usable tree is already stored, the store returns
    /// that one and ignores `tree`.
    ///
    /// - Throws: `.badIndex` if `tree` cannot be read back; `.noSpace`, `.readOnly`, `.io`.
    public func installChain(_ id: Digest, tree: [UInt8]) throws(ContentStoreError) -> TreeImage {
        let chain = try chains.value(id) { () throws(ContentStoreError) in
            if let chain = try openChain(id) { return chain }
            try installNew(at: chainDirectory(id)) { (directory) throws(ContentStoreError) in
                let path = directory + "/tree.erofs"
                try ContentStoreError.wrapping("cannot store the tree of chain \(id)") { () throws(Errno) in
                    try Self.writeDurably(path, tree)
                }
                _ = try Self.orBadIndex("the tree of chain \(id)") { try Self.tree(path) }
            }
            return try openChain(id)
        }
        guard let chain else {
            throw ContentStoreError(.io, "the tree of chain \(id) is gone as soon as it is written")
        }
        return chain
    }

    /// Removes the tree of the chain `id`, if there is one. Holders of the open tree can keep using it.
    public func removeChain(_ id: Digest) throws(ContentStoreError) {
        try chains.removing(id) { (_) throws(ContentStoreError) in try remove(chainDirectory(id)) }
    }

    private func openChain(_ id: Digest) throws(ContentStoreError) -> TreeImage? {
        let directory = chainDirectory(id)
        return try openOrQuarantine(directory) { try Self.tree(directory + "/tree.erofs") }
    }

    private static func tree(_ path: String) throws -> TreeImage {
        var hasher = DigestHasher()
        let tree = try LayerOpener.readable(path, hashing: &hasher) { try TreeImage(mapping: $0) }
        // The check has read the whole file, but containers mostly read a small part of it.
        tree.releaseResidentPages()
        return tree
    }

    private func chainDirectory(_ id: Digest) -> String { "\(root)/chains/\(id.hex)" }
}
