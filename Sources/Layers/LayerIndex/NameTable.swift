/// A hash table that maps a parent and a name to a node: open addressing, eight bytes a slot.
///
/// The hash is Swift's own, seeded for each process, so that a hostile layer cannot choose colliding names. The seed
/// does not affect the finished index.
struct NameTable {
    private struct Slot {
        var tag: UInt32
        var node: UInt32
    }

    private static let free = UInt32.max
    private var slots: [Slot]
    private var used = 0

    init() {
        slots = Array(repeating: Slot(tag: 0, node: Self.free), count: 1024)
    }

    static func tag(parent: UInt32, name: UnsafeRawBufferPointer) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(parent)
        hasher.combine(bytes: name)
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }

    /// Returns the node called `name` in `parent`; `nil` if there is none. `tag` is the result of
    /// ``tag(parent:name:)``.
    func find(_ tag: UInt32, parent: UInt32, name: UnsafeRawBufferPointer, in arena: borrowing NodeArena) -> UInt32? {
        let mask = slots.count - 1
        var position = Int(tag) & mask
        while slots[position].node != Self.free {
            let node = slots[position].node
            if slots[position].tag == tag, arena.nodes[Int(node)].parent == parent, arena.name(of: node, equals: name) {
                return node
            }
            position = (position + 1) & mask
        }
        return nil
    }

    /// Adds a node. `tag` is the ``tag(parent:name:)`` of the node's parent and name. The table must not contain a node
    /// of the same parent and name.
    mutating func insert(_ tag: UInt32, _ node: UInt32) {
        if used * 10 >= slots.count * 7 { grow() }
        place(Slot(tag: tag, node: node))
        used += 1
    }

    /// Replaces node `old` with node `new`. Both have the same parent and name, and so the same `tag`.
    mutating func replace(_ tag: UInt32, at old: UInt32, with new: UInt32) {
        let mask = slots.count - 1
        var position = Int(tag) & mask
        while slots[position].node != Self.free {
            if slots[position].node == old {
                slots[position].node = new
                return
            }
            position = (position + 1) & mask
        }
    }

    private mutating func place(_ slot: Slot) {
        let mask = slots.count - 1
        var position = Int(slot.tag) & mask
        while slots[position].node != Self.free {
            position = (position + 1) & mask
        }
        slots[position] = slot
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: Slot(tag: 0, node: Self.free), count: old.count * 2)
        for slot in old where slot.node != Self.free {
            place(slot)
        }
    }
}
