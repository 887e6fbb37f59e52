public import Base

extension LayerIndexBuilder {
    /// Finishes the builder and returns the index of all entries.
    ///
    /// The content space contains the layer's files, one after the other, in the order of their first bytes in the
    /// blob. Each file starts on a 4 KiB boundary. So one pass over the blob fills the content space from front to
    /// back. The builder refuses a layer whose files are interleaved in the blob (``LayerIndexErrorCode/unordered``).
    public consuming func finish(by deadline: WorkDeadline = .never) throws(LayerIndexError) -> LayerIndexBytes {
        var meter = WorkMeter(deadline)
        markDead()
        try resolveHardLinks(&meter)
        promoteLinks()
        try setDirectoryTimesAgain(&meter)
        try settle(&meter)
        let content = try layOutContent(&meter)
        table = NameTable()
        pieces = []
        hardLinks = []
        let device = TreeWriter.Device(digest: layer, blocks: content.blocks)
        // The arena moves to the writer, which then changes it in place.
        var nodes = NodeArena(limits: limits)
        swap(&nodes, &arena)
        let tree = try TreeWriter.write(nodes, devices: [device], meter: &meter)
        return LayerIndexBytes(tree: tree, chunks: content.table)
    }

    /// Marks all descendants of replaced nodes as dead.
    private mutating func markDead() {
        // A node comes after its parent, so one pass reaches everything.
        for index in arena.nodes.indices where arena.nodes[Int(arena.nodes[index].parent)].flags.contains(.dead) {
            arena.nodes[index].flags.insert(.dead)
        }
    }

    /// Resolves the hard links that come before their targets in the archive. Sets the ``NodeArena/Node/payload`` of
    /// each link to the node of the file. If the target is another hard link, follows that link, too.
    private mutating func resolveHardLinks(_ meter: inout WorkMeter) throws(LayerIndexError) {
        // A node in `hardLinks` may have been replaced since, or may appear twice.
        var pending: [UInt32] = []
        for link in hardLinks where isUnresolvedLink(link) {
            let node = arena.nodes[Int(link)]
            try meter.count(1 + Int(node.size) / 32)
            let start = Int(node.payload)
            let text = Array(arena.bytes[start..<start + Int(node.size)])
            guard let target = try find(text) else {
                throw LayerIndexError(
                    .badHardLink, "a hard link to \(String(decoding: text, as: UTF8.self)), which does not exist")
            }
            arena.nodes[Int(link)].payload = target
            arena.nodes[Int(link)].linkCount = 1
            pending.append(link)
        }
        // Follow chains of links. All links of a chain get its final target, so that no link is followed twice.
        var settled = [Bool](repeating: false, count: arena.nodes.count)
        var chain: [UInt32] = []
        for link in pending {
            chain.removeAll(keepingCapacity: true)
            var node = link
            while isPendingLink(node), !settled[Int(node)] {
                guard chain.count <= pending.count else { throw badLink(link, "is part of a cycle") }
                chain.append(node)
                node = arena.nodes[Int(node)].payload
            }
            if arena.nodes[Int(node)].flags.contains(.hardLink) { node = arena.nodes[Int(node)].payload }
            guard !arena.nodes[Int(node)].isDirectory else { throw badLink(link, "refers to a directory") }
            guard !arena.nodes[Int(node)].flags.contains(.whiteout) else { throw badLink(link, "refers to a whiteout") }
            for link in chain {
                arena.nodes[Int(link)].payload = node
                settled[Int(link)] = true
            }
        }
        for link in pending {
            arena.nodes[Int(link)].linkCount = 0
            arena.nodes[Int(link)].flags.insert(.resolved)
        }
    }

    private func isPendingLink(_ node: UInt32) -> Bool {
        let flags = arena.nodes[Int(node)].flags
        return flags.contains(.hardLink) && !flags.contains(.resolved)
    }

    /// Keeps files whose own name was replaced but that still have hard links. The node of the first link becomes the
    /// file. The other links then refer to that node.
    private mutating func promoteLinks() {
        var owners: [UInt32: UInt32] = [:]
        for link in hardLinks {
            let node = arena.nodes[Int(link)]
            guard node.flags.contains(.hardLink), !node.flags.contains(.dead) else { continue }
            let target = arena.nodes[Int(node.payload)]
            guard target.flags.contains(.dead) else { continue }
            if let owner = owners[node.payload] {
                arena.nodes[Int(link)].payload = owner
                continue
            }
            owners[node.payload] = link
            var owner = target
            owner.parent = node.parent
            owner.nameOffset = node.nameOffset
            owner.nameLength = node.nameLength
            owner.flags.subtract([.dead, .linked])
            arena.nodes[Int(link)] = owner
        }
    }

    /// Returns true if `node` is a hard link whose target is still a path. ``resolveHardLinks()`` calls this function,
    /// and temporarily sets the link count to 1 for each link whose target it has found.
    private func isUnresolvedLink(_ node: UInt32) -> Bool {
        let node = arena.nodes[Int(node)]
        return node.flags.contains(.hardLink) && node.flags.isDisjoint(with: [.dead, .resolved]) && node.linkCount == 0
    }

    private func badLink(_ link: UInt32, _ reason: String) -> LayerIndexError {
        let node = arena.nodes[Int(link)]
        let name = arena.bytes[Int(node.nameOffset)..<Int(node.nameOffset) + Int(node.nameLength)]
        return LayerIndexError(.badHardLink, "the hard link \(String(decoding: name, as: UTF8.self)) \(reason)")
    }

    /// Adds the extended attributes that mark opaque and implied directories. Then computes all link counts.
    private mutating func settle(_ meter: inout WorkMeter) throws(LayerIndexError) {
        for index in arena.nodes.indices {
            let node = arena.nodes[index]
            guard node.isDirectory, !node.flags.isDisjoint(with: [.opaque, .implied, .inherits]),
                !node.flags.contains(.dead)
            else { continue }
            try meter.count(1 + Int(node.xattrLength) / 64)
            var list = arena.xattrs(of: UInt32(index))
            if node.flags.contains(.opaque) { list.setOpaque() }
            if node.flags.contains(.implied) { list.setImplied() }
            if node.flags.contains(.inherits) { list.setInherits() }
            try arena.setXattrs(&list, of: UInt32(index))
        }
        arena.countLinks()
    }
}
