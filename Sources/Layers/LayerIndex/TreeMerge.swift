import Base

/// The merge of a chain of layers: a depth-first walk through the directories of all layers at the same time. It builds
/// the arena of the merged tree.
struct TreeMerge {
    /// An inode of one of the layers.
    private struct Source {
        var layer: Int
        var inode: UInt64
    }

    /// A directory of the result whose entries are not merged yet. When this is the last element of the stack
    /// ``pending``, the layers' directories to merge are the last `sourceCount` elements of ``sources``, uppermost
    /// first.
    private struct Pending {
        var node: UInt32
        var sourceCount: Int
        var depth: Int
    }

    /// One layer's entry in the directory being merged.
    private struct Candidate {
        /// The first eight bytes of the name, first byte highest.
        var key: UInt64
        /// The name of the entry. It points into the layer's image, which `layers` keeps alive.
        var name: UnsafeRawBufferPointer
        var source: Source
    }

    private let layers: [TreeImage]
    private let limits: IndexLimits
    private var arena: NodeArena
    private var pending: [Pending] = []
    private var sources: [Source] = []
    /// The node that was created first for each inode with several names. The key combines layer and inode number.
    private var linked: [UInt64: UInt32] = [:]
    /// The number of entries that may still be read. It bounds the work for a hostile tree with a directory that
    /// contains itself.
    private var budget: Int

    /// Merges `layers`, which come bottom first, and returns the arena of the merged tree.
    static func run(_ layers: [TreeImage], _ limits: IndexLimits) throws(LayerIndexError) -> NodeArena {
        var merge = TreeMerge(layers, limits)
        try merge.run()
        return merge.arena
    }

    private init(_ layers: [TreeImage], _ limits: IndexLimits) {
        self.layers = layers
        self.limits = limits
        arena = NodeArena(limits: limits)
        // The budget includes entries that upper layers hide, because the merge reads these, too.
        budget = limits.entryCount.multipliedReportingOverflow(by: 4).partialValue
    }

    private mutating func run() throws(LayerIndexError) {
        var candidates: [Candidate] = []
        let roots = layers.indices.reversed().map { Source(layer: $0, inode: layers[$0].rootInode) }
        try addDirectory(0, of: roots[...], depth: 0)
        while let directory = pending.popLast() {
            let start = sources.count - directory.sourceCount
            try gather(sources[start...], &candidates)
            sources.removeSubrange(start...)
            try merge(candidates, into: directory)
        }
        arena.countLinks()
    }

    /// Lists the entries of all `directories` in `candidates`, sorted by name. For equal names the upper layer comes
    /// first.
    private mutating func gather(
        _ directories: ArraySlice<Source>, _ candidates: inout [Candidate]
    ) throws(LayerIndexError) {
        candidates.removeAll(keepingCapacity: true)
        for directory in directories {
            let limit = candidates.count + budget
            try layers[directory.layer].forEachEntry(directory.inode) { name, inode, _, _ in
                guard !name.elementsEqual([0x2E]), !name.elementsEqual([0x2E, 0x2E]) else { return true }
                candidates.append(
                    Candidate(
                        key: Self.key(name), name: name, source: Source(layer: directory.layer, inode: inode)))
                return candidates.count < limit
            }
            guard candidates.count < limit else {
                throw LayerIndexError(.limit, "the layers have more entries than a chain may")
            }
            budget = limit - candidates.count
        }
        // The entries of a single layer are sorted already.
        guard directories.count > 1 else { return }
        candidates.sort { left, right in
            if left.key != right.key { return left.key < right.key }
            let order = Bytes.compare(left.name, right.name)
            return order != 0 ? order < 0 : left.source.layer > right.source.layer
        }
    }

    private static func key(_ name: UnsafeRawBufferPointer) -> UInt64 {
        var key: UInt64 = 0
        for position in 0..<8 {
            key = key << 8 | (position < name.count ? UInt64(name[position]) : 0)
        }
        return key
    }

    private mutating func merge(_ candidates: [Candidate], into directory: Pending) throws(LayerIndexError) {
        var found: [Source] = []
        var start = 0
        while start < candidates.count {
            let top = candidates[start]
            var end = start + 1
            found.removeAll(keepingCapacity: true)
            found.append(top.source)
            while end < candidates.count, candidates[end].key == top.key,
                Bytes.equal(top.name, candidates[end].name)
            {
                guard candidates[end].source.layer != candidates[end - 1].source.layer else {
                    throw LayerIndexError(.corrupt, "a directory has two entries of one name")
                }
                found.append(candidates[end].source)
                end += 1
            }
            start = end
            try add(top.name, from: found, to: directory)
        }
    }

    /// Adds the merged entry called `name` to `directory`. `found` has the layers' entries of that name, uppermost
    /// first. If the first one is a whiteout, adds nothing.
    private mutating func add(
        _ name: UnsafeRawBufferPointer, from found: [Source], to directory: Pending
    ) throws(LayerIndexError) {
        let top = found[0]
        let attributes = try layers[top.layer].attributes(top.inode)
        guard !attributes.isWhiteout else { return }
        let node = try arena.append(parent: directory.node, name: name)
        guard attributes.kind == .directory else {
            return try addFile(node, from: top, attributes: attributes)
        }
        try addDirectory(node, of: found[...], depth: directory.depth + 1)
    }

    /// Makes `node` a directory, and queues the merge of its entries. `found` has the layers' inodes at its path,
    /// uppermost first. The attributes come from the first directory that is not implied, or else from the first one.
    /// An opaque directory or a file hides the entries of the directories after it.
    private mutating func addDirectory(
        _ node: UInt32, of found: ArraySlice<Source>, depth: Int
    ) throws(LayerIndexError) {
        guard depth <= limits.depth else { throw LayerIndexError(.limit, "directories \(depth) deep") }
        let start = sources.count
        var (isFilled, isHidden) = (false, false)
        for source in found {
            let attributes = try layers[source.layer].attributes(source.inode)
            guard attributes.kind == .directory else { break }
            // A directory that a layer only implies has the attributes of the lower layers' directory.
            if !isFilled, try !hasMark(source, "trusted.overlay.rivulet.implied") {
                try fill(node, from: source, attributes: attributes)
                isFilled = true
            }
            if !isHidden {
                sources.append(source)
                isHidden = try hasMark(source, "trusted.overlay.opaque")
            }
            if isFilled, isHidden { break }
        }
        if !isFilled, sources.count > start, let first = found.first {
            try fill(node, from: first, attributes: try layers[first.layer].attributes(first.inode))
        }
        pending.append(Pending(node: node, sourceCount: sources.count - start, depth: depth))
    }

    /// Returns true if `source` has the extended attribute `name` with the value `y`.
    private func hasMark(_ source: Source, _ name: StaticString) throws(LayerIndexError) -> Bool {
        guard layers[source.layer].hasExtendedAttributes else { return false }
        let text = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return try layers[source.layer].extendedAttribute(source.inode, name: text) { $0.elementsEqual([0x79]) }
            ?? false
    }

    private mutating func addFile(
        _ node: UInt32, from source: Source, attributes: NodeAttributes
    ) throws(LayerIndexError) {
        let index = Int(node)
        let tree = layers[source.layer]
        if attributes.linkCount > 1 {
            // Inode numbers are below 2^32: see TreeWriter.
            let key = UInt64(source.layer) << 40 | source.inode & 0xFF_FFFF_FFFF
            if let first = linked[key] {
                arena.nodes[index].flags.insert(.hardLink)
                arena.nodes[index].payload = first
                return
            }
            linked[key] = node
        }
        try fill(node, from: source, attributes: attributes)
        switch attributes.kind {
        case .regular:
            guard let content = try tree.content(source.inode) else { return }
            arena.nodes[index].size = attributes.size
            arena.nodes[index].payload = UInt32(truncatingIfNeeded: content.range.offset / UInt64(EROFS.blockSize))
            arena.nodes[index].extra = UInt32(source.layer)
            arena.nodes[index].flags.insert(.hasContent)
        case .symlink:
            let stored = try tree.withSymbolicLink(source.inode) { target in
                Result { () throws(LayerIndexError) in try arena.store(target) }
            }
            arena.nodes[index].payload = try stored.get()
            arena.nodes[index].size = attributes.size
        case .character, .block:
            arena.nodes[index].payload = EROFS.encodeDevice(
                major: attributes.deviceMajor, minor: attributes.deviceMinor)
        default: break
        }
    }

    /// Copies attributes and extended attributes, except overlayfs's own, from `source` to `node`.
    private mutating func fill(
        _ node: UInt32, from source: Source, attributes: NodeAttributes
    ) throws(LayerIndexError) {
        let index = Int(node)
        arena.nodes[index].mode = attributes.mode
        arena.nodes[index].uid = attributes.uid
        arena.nodes[index].gid = attributes.gid
        arena.nodes[index].modifiedSeconds = attributes.modifiedSeconds
        arena.nodes[index].modifiedNanoseconds = attributes.modifiedNanoseconds
        guard layers[source.layer].hasExtendedAttributes else { return }
        var list = ExtendedAttributeList()
        try layers[source.layer].forEachExtendedAttribute(source.inode) { name, value in
            if let split = ExtendedAttributeName.split(name) {
                list.set(index: split.index, name: Array(name[split.prefix...]), value: Array(value))
            }
            return true
        }
        list.removeOverlayNames()
        try arena.setXattrs(&list, of: node)
    }
}
