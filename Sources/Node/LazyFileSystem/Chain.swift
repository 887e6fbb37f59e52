import Base
import ContentStore
import LayerIndex
import Synchronization

/// A mounted chain, which is a stack of image layers with one merged tree. It appears as one directory in the root of
/// the mount.
final class Chain: Sendable {
    let id: Digest
    let slot: UInt32
    /// The generation of the chain's nodes (``NodeStatus/generation``). It consists of the first four bytes of ``id``,
    /// so it stays the same after a restart.
    let generation: UInt32
    let tree: TreeImage
    /// The layers in the order of the devices of ``tree``: the bytes of a file on device n, counted from 0, are in
    /// `layers[n]`.
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

    /// The node ID of the chain's root directory.
    var root: NodeID { NodeID(rawValue: UInt64(slot) << 40 | tree.rootInode) }

    /// Returns the node ID of the inode `nid` in this tree.
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

    /// Returns a file system error with `error`, which the tree threw, as its cause.
    func corrupt(_ error: LayerIndexError) -> LazyFileSystemError {
        LazyFileSystemError(.corrupt, "failed to read the tree of chain \(id)", cause: error)
    }
}

/// A layer, together with the latest reads of one group of readers: the readers of one chain, or the readers of the
/// `content` directory.
final class ReadLayer: Sendable {
    let content: StoredLayer
    // The chunk ranges of the latest reads. A hash of the file selects the element. So two files that are read
    // alternately rarely overwrite each other's range.
    private let last = InlineArray<8, Atomic<UInt64>> { _ in Atomic(.max) }

    init(_ content: StoredLayer) {
        self.content = content
    }

    /// Returns true if `chunks` differ from the chunks that were last read from the same file. Remembers `chunks` as
    /// the last read.
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
