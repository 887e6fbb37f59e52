import Base
import ContentStore
import LayerIndex
import Synchronization

/// A chain that is mounted: one directory below the root.
final class Chain: Sendable {
    let id: Digest
    let slot: UInt32
    /// See ``NodeStatus/generation``: the first four bytes of the digest, so that it survives a restart.
    let generation: UInt32
    let tree: TreeImage
    /// By device number of the tree.
    let layers: [ReadLayer]
    let touches: TouchLog

    init(id: Digest, slot: UInt32, tree: TreeImage, layers: [ReadLayer]) {
        self.id = id
        self.slot = slot
        generation = Chain.generation(of: id)
        self.tree = tree
        self.layers = layers
        touches = TouchLog(layers.map(\.content))
    }

    static func generation(of id: Digest) -> UInt32 {
        id.withBytes { $0.littleEndian(UInt32.self, at: 0) ?? 0 }
    }

    /// The directory's own node.
    var root: NodeID { NodeID(rawValue: UInt64(slot) << 40 | tree.rootInode) }

    /// The node of an inode of this tree.
    func node(_ nid: UInt64) throws(LazyFileSystemError) -> NodeID {
        guard let node = NodeID(slot: slot, nid: nid) else {
            throw LazyFileSystemError(.corrupt, "chain \(id) has an inode number of more than 40 bits")
        }
        return node
    }

    func status(_ nid: UInt64) throws(LazyFileSystemError) -> NodeStatus {
        NodeStatus(id: try node(nid), generation: generation, try attributes(nid))
    }

    func attributes(_ nid: UInt64) throws(LazyFileSystemError) -> NodeAttributes {
        do {
            return try tree.attributes(nid)
        } catch {
            throw corrupt(error)
        }
    }

    /// What an error of the tree is to whoever asked.
    func corrupt(_ error: LayerIndexError) -> LazyFileSystemError {
        LazyFileSystemError(.corrupt, "the tree of chain \(id) cannot be read", cause: error)
    }
}

/// A layer as one chain, or the `content` directory, reads it.
final class ReadLayer: Sendable {
    let content: StoredLayer
    // The chunks that the last reads had, by file: two files read in turns do not push each other out, most of the time.
    private let last = InlineArray<8, Atomic<UInt64>> { _ in Atomic(.max) }

    init(_ content: StoredLayer) {
        self.content = content
    }

    /// Whether `chunks` differ from what was read last from the same file.
    func changes(_ chunks: Range<Int>, file: UInt64) -> Bool {
        let value =
            UInt64(truncatingIfNeeded: chunks.lowerBound) << 32
            | UInt64(UInt32(truncatingIfNeeded: chunks.upperBound))
        let index = Int(truncatingIfNeeded: (file &* 0x9E37_79B9_7F4A_7C15) >> 61)
        guard last[index].load(ordering: .relaxed) != value else { return false }
        last[index].store(value, ordering: .relaxed)
        return true
    }
}
