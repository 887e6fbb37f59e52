import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import Linux
import Logging
import NodeDatabase
import Registry
import Streaming

/// The builder of chains. It merges the layers of a chain into one tree, and adds the chain to the file system. It also
/// removes chains. All calls block on the disk.
struct ChainAssembly: Sendable {
    let records: ChainRecords
    let store: ContentStore
    let fileSystem: LazyFileSystem
    let engine: StreamingEngine
    let start: ChainStart
    let logger: Logger

    /// A chain that the node can mount.
    struct Found: Sendable {
        let key: ChainKey
        let record: ChainRecord
        /// The chain's layers, from the bottom.
        let contents: [StoredLayer]
        /// The chain's merged tree, if the store has it.
        let tree: TreeImage?
    }

    /// Finds the layers of the chain and, if the store has it, the merged tree. Tells the streaming engine where to
    /// fetch the layers from.
    ///
    /// - Throws: a ``FallbackReason`` if the chain is unknown, or if one of its layers is gone or refused; errors of
    ///   the database and the store.
    func find(_ chain: ChainKey) throws -> Found {
        guard let record = try records.find(chain) else {
            throw FallbackReason(.mount, "chain \(chain) is not known on this node")
        }
        let contents = try record.layers.map { layer throws -> StoredLayer in
            try LayerFetcher.checkNotRefused(layer.key, store)
            guard let content = try store.layer(layer.key) else {
                throw FallbackReason(.storage, "the index of layer \(layer.key) is gone from the store")
            }
            engine.attach(content, locations: try locations(of: layer.key))
            return content
        }
        return Found(key: chain, record: record, contents: contents, tree: try storedTree(of: chain, contents))
    }

    /// Merges the trees of the chain's layers, and stores the result.
    func merge(_ chain: Found, by deadline: WorkDeadline) throws -> TreeImage {
        defer { Sys.releaseFreedMemory() }
        let merged = try ContentStore.mergedTree(of: chain.contents, by: deadline)
        return try store.installChain(chain.key, tree: merged)
    }

    /// Adds the chain to the file system, and begins to prefetch for the container's start. This call does not wait for
    /// the network.
    func mount(_ found: Found, tree: TreeImage) throws {
        let (chain, record, contents) = (found.key, found.record, found.contents)
        try fileSystem.addChain(chain.id, tree: tree, layers: contents, slot: try records.slot(of: chain))
        if let top = record.layers.last, let touches = fileSystem.touches(ofChain: chain.id) {
            start.begin(
                MountedChain(
                    key: chain, claim: record.claim, repository: top.repository, tree: tree, layers: contents,
                    touches: touches, time: .now())
            )
        }
        logger.info("chain mounted", metadata: ["chain": "\(chain)", "layers": "\(contents.count)"])
    }

    /// Removes the chain from the file system, and deletes its record and its merged tree. Does nothing if a snapshot
    /// or a chain above still needs the chain. ``deleteLeftovers(unless:)`` deletes the layers.
    func disassemble(_ chain: ChainKey) throws {
        guard try records.remove(chain) else { return }
        start.end(chain)
        fileSystem.removeChain(chain.id)
        try store.removeChain(chain)
    }

    /// Deletes a layer that no chain contains. Returns false if the layer is still in use, for example by an image that
    /// is being opened.
    private func delete(_ layer: LayerKey) throws -> Bool {
        // Containers may still run on a chain without a record, and read from its layers.
        guard !fileSystem.hasLayer(layer.id) else { return false }
        // The engine holds the layer, so only after this does the store know who else uses it.
        let locations = store.opened(layer).map { engine.detach($0) } ?? []
        do throws(ContentStoreError) {
            try store.removeLayer(layer)
        } catch {
            guard error.code == .inUse else { throw error }
            if !locations.isEmpty, let content = store.opened(layer) { engine.attach(content, locations: locations) }
            return false
        }
        try records.forget(layer: layer)
        return true
    }

    /// Deletes the layers that no chain contains, and merged trees of chains without a record. Such trees remain if a
    /// crash interrupts a deletion.
    ///
    /// - Parameter isNeeded: returns true for layers that remain although no chain contains them. It is called right
    ///   before each deletion.
    /// - Returns: the number of deleted trees and layers; true if another layer is still in use.
    func deleteLeftovers(unless isNeeded: (LayerKey) -> Bool) throws -> (count: Int, isInUse: Bool) {
        let known = try records.all()
        var (count, isInUse) = (0, false)
        for chain in try store.chainKeys() where !known.chains.contains(chain) && !fileSystem.hasChain(chain.id) {
            try store.removeChain(chain)
            count += 1
        }
        let unused = Set(store.allKeys).union(try records.removedLayers()).subtracting(known.layers)
        for layer in unused where !isNeeded(layer) {
            if try delete(layer) { count += 1 } else { isInUse = true }
        }
        return (count, isInUse)
    }

    /// Returns the locations of the layer's blob. The location that was recorded last comes first.
    private func locations(of layer: LayerKey) throws -> [BlobLocation] {
        try records.repositories(of: layer).map { BlobLocation(repository: $0, digest: layer.blob) }
    }

    private func storedTree(of chain: ChainKey, _ contents: [StoredLayer]) throws -> TreeImage? {
        guard let tree = try store.chain(chain) else { return nil }
        if tree.deviceTags == contents.map(\.key.id) { return tree }
        // This tree is left over from an earlier chain with the same ID. The deletion of that chain was interrupted.
        try store.removeChain(chain)
        return nil
    }
}
