import Base
import ContentStore
import LayerIndex

/// The table of mounted chains and their layers. It is a pure value that `LazyFileSystem` keeps behind a lock.
struct ChainTable {
    /// A numbered place for a chain. A slot belongs to the same chain forever, because the kernel may hold nodes of a
    /// removed chain. Through such nodes, the kernel must never read another chain's bytes.
    private struct Slot {
        var owner: Digest?
        var chain: Chain?
    }

    private var slots: [Slot] = []
    private var byID: [Digest: UInt32] = [:]
    private(set) var content = ContentDirectory()

    /// The number of mounted chains.
    var count: Int { byID.count }
    /// The number of inodes in all chains.
    private(set) var inodeCount: UInt64 = 0

    func chain(inSlot slot: UInt32) -> Chain? {
        let index = Int(slot)
        return index < slots.count ? slots[index].chain : nil
    }

    func chain(_ id: Digest) -> Chain? {
        byID[id].flatMap { chain(inSlot: $0) }
    }

    /// Returns the chain with the lowest slot number above `slot`; `nil` if there is none.
    func chain(afterSlot slot: UInt32) -> Chain? {
        var index = Int(slot) + 1
        while index < slots.count {
            if let chain = slots[index].chain { return chain }
            index += 1
        }
        return nil
    }

    /// Adds `chain`. Adding a chain again in the same slot changes nothing.
    ///
    /// - Returns: the layers that appeared in the `content` directory; `nil` if nothing changed.
    mutating func add(_ chain: Chain) throws(LazyFileSystemError) -> [Digest]? {
        guard chain.slot > 0, chain.slot <= NodeID.maximumSlot else {
            throw LazyFileSystemError(.badSlot, "slot \(chain.slot) is not in 1...\(NodeID.maximumSlot)")
        }
        let index = Int(chain.slot)
        if let present = byID[chain.id] {
            guard present == chain.slot else {
                throw LazyFileSystemError(
                    .badSlot, "chain \(chain.id) is in slot \(present) and cannot also be in \(chain.slot)")
            }
            return nil
        }
        if index < slots.count, let owner = slots[index].owner, owner != chain.id {
            throw LazyFileSystemError(.badSlot, "slot \(chain.slot) belongs to chain \(owner), not to \(chain.id)")
        }
        while slots.count <= index { slots.append(Slot()) }
        slots[index] = Slot(owner: chain.id, chain: chain)
        byID[chain.id] = chain.slot
        inodeCount &+= chain.tree.inodeCount
        return chain.layers.filter { content.add($0.content) }.map(\.content.key.id)
    }

    /// Removes a chain.
    ///
    /// - Returns: the layers that disappeared from the `content` directory; `nil` if there was no such chain.
    mutating func remove(_ id: Digest) -> [Digest]? {
        guard let slot = byID.removeValue(forKey: id), let chain = chain(inSlot: slot) else { return nil }
        slots[Int(slot)].chain = nil
        inodeCount &-= chain.tree.inodeCount
        return chain.layers.map(\.content.key.id).filter { content.remove($0) }
    }
}
