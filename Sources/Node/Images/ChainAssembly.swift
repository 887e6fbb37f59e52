import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import Linux
import Logging
import NodeDatabase
import Registry
import Streaming

/// The builder of chains. It merges the layers of a chain into one tree, and adds the chain to the file system. Later
/// it removes the chain. All calls block on the disk.
struct ChainAssembly: Sendable {
    let records: ChainRecords
    let store: ContentStore
    let fileSystem: LazyFileSystem
    let engine: StreamingEngine
    let start: ChainStart
    let logger: Logger

    /// Merges the trees of the chain's layers, adds the chain to the file system, and begins to prefetch for the
    /// container's start.
    ///
    /// This call does not wait for the network.
    ///
    /// - Returns: the chain's layers, from the bottom.
    /// - Throws: a ``FallbackReason`` if the chain is unknown, or if one of its layers is gone or refused; errors of
    ///   the database, the store and the file system.
    func assemble(_ chain: Digest) throws -> [StoredLayer] {
        guard let (slot, layers) = try records.find(chain) else {
            throw FallbackReason(.mount, "chain \(chain) is not known on this node")
        }
        let contents = try layers.map { layer throws -> StoredLayer in
            try LayerFetcher.checkNotRefused(layer.digest, store)
            guard let content = try store.layer(layer.digest) else {
                throw FallbackReason(.storage, "the index of layer \(layer.digest) is gone from the store")
            }
            engine.attach(content, locations: [BlobLocation(repository: layer.repository, digest: layer.digest)])
            return content
        }
        let tree = try tree(of: chain, contents)
        try fileSystem.addChain(chain, tree: tree, layers: contents, slot: slot)
        if let top = layers.last, let touches = fileSystem.touches(ofChain: chain) {
            start.begin(
                MountedChain(
                    id: chain, repository: top.repository, tree: tree, layers: contents, touches: touches, time: .now())
            )
        }
        logger.info("chain mounted", metadata: ["chain": "\(chain)", "layers": "\(contents.count)"])
        return contents
    }

    /// Removes the chain from the file system, and deletes its record and its merged tree. Also deletes the chain's top
    /// layer, unless another chain uses that layer.
    func disassemble(_ chain: Digest) throws {
        start.end(chain)
        fileSystem.removeChain(chain)
        let orphan = try records.remove(chain)
        try store.removeChain(chain)
        if let orphan {
            if let content = try store.layer(orphan) { engine.detach(content) }
            try store.removeLayer(orphan)
        }
    }

    private func tree(of chain: Digest, _ contents: [StoredLayer]) throws -> TreeImage {
        let digests = contents.map(\.digest)
        if let tree = try store.chain(chain) {
            if tree.deviceTags == digests { return tree }
            // This tree is left over from an earlier chain with the same ID. The deletion of that chain was
            // interrupted.
            try store.removeChain(chain)
        }
        defer { Sys.releaseFreedMemory() }
        let merged = try ChainMerger.merge(contents.map { ($0.tree, $0.digest) })
        return try store.installChain(chain, tree: merged)
    }
}
