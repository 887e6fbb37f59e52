import Base
import ContentStore
import LayerIndex
import Synchronization

/// A mounted chain: one directory below the root.
final class Chain: Sendable {
    let id: Digest
    let slot: UInt32
    /// The first four bytes of the chain ID, so that the number survives a restart; see ``NodeStatus/generation``.
    let generation: UInt32
    let tree: TreeImage
    /// The layers in the order of the tree's device numbers.
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

    /// The node of the chain's root directory.
    var root: NodeID { NodeID(rawValue: UInt64(slot) << 40 | tree.rootInode) }

    /// Returns the node of an inode in this tree.
    func node(_ nid: UInt64) throws(LazyFileSystemError) -> NodeID {
        guard let node = NodeID(slot: slot, nid: nid) else {
            throw LazyFileSystemError(.corrupt, "chain \(id) has an inode number above 40 bits")
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

    /// Returns an error of the file system for `error`, which the tree threw.
    func corrupt(_ error: LayerIndexError) -> LazyFileSystemError {
        LazyFileSystemError(.corrupt, "failed to read the tree of chain \(id)", cause: error)
    }
}

/// A layer as one group of readers uses it: the readers of a chain, or those of the `content` directory.
final class ReadLayer: Sendable {
    let content: StoredLayer
    // The chunk ranges of the latest reads. A hash of the file selects the element. So two files that are read
    // alternately rarely overwrite each other's range.
    private let last = InlineArray<8, Atomic<UInt64>> { _ in Atomic(.max) }

    init(_ content: StoredLayer) {
        self.content = content
    }

    /// Returns true if `chunks` differ from those last read from the same file, and remembers them.
    ///
    /// - Parameter file: the inode number of the file.
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
