import Base

/// The merge of a chain of layers: a depth-first walk through the directories of all layers at the same time. It builds
/// the arena of the merged tree.
struct TreeMerge {
    /// An inode of one of the layers.
    private struct Source {
        var layer: Int
        var inode: UInt64
    }

    /// A directory of the merged tree whose entries are not merged yet. ``pending`` is the stack of these directories.
    ///
    /// The stack ``sources`` contains the layers' directories to merge. The top element of ``pending`` owns the last
    /// `sourceCount` elements of ``sources``, uppermost layer first.
    private struct Pending {
        var node: UInt32
        var sourceCount: Int
        var depth: Int
        /// The lowest layer that no upper layer hides at this path.
        var floor: Int
        /// For each layer, the attributes that the layer's entries in this directory inherit from the directory. See
        /// ``Unpacked/heritage``.
        var heritage: [Int: Heritage]
    }

    /// The attributes that a new file inherits from its directory.
    private struct Heritage {
        var defaultList: [UInt8]?
        /// The group of the directory if the directory has the set-group-ID bit; `nil` otherwise.
        var group: UInt32?
    }

    /// One layer's entry in the directory being merged.
    private struct Candidate {
        /// The first eight bytes of the name as a big-endian number, padded with zeros.
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
    /// The ``RootPath/work`` that lookups of directories in lower layers may still use.
    private var resolutionBudget = RootPath.maximumTotalWork
    private var meter: WorkMeter
    /// The number of entries that may still be read. This limit ends the merge of a hostile tree in which a directory
    /// contains itself.
    private var budget: Int

    /// Merges `layers`, which come bottom first, and returns the arena of the merged tree.
    static func run(
        _ layers: [TreeImage], limits: IndexLimits, meter: WorkMeter
    ) throws(LayerIndexError) -> NodeArena {
        var merge = TreeMerge(layers, limits: limits, meter: meter)
        try merge.run()
        return merge.arena
    }

    private init(_ layers: [TreeImage], limits: IndexLimits, meter: WorkMeter) {
        self.meter = meter
        self.layers = layers
        self.limits = limits
        arena = NodeArena(limits: limits)
        // The budget includes entries that upper layers hide, because the merge reads these, too.
        budget = limits.entryCount.multipliedReportingOverflow(by: 4).partialValue
    }

    private mutating func run() throws(LayerIndexError) {
        var candidates: [Candidate] = []
        let roots = layers.indices.reversed().map { Source(layer: $0, inode: layers[$0].rootInode) }
        try addDirectory(0, of: roots[...], depth: 0, in: nil)
        while let directory = pending.popLast() {
            let start = sources.count - directory.sourceCount
            try gather(sources[start...], &candidates)
            sources.removeSubrange(start...)
            try merge(candidates, into: directory)
        }
        arena.countLinks()
    }

    /// Fills `candidates` with the entries of all `directories`, sorted by name. Of entries with equal names, the entry
    /// of the uppermost layer comes first.
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
        try WorkMeter.sort(&candidates) { (left, right) throws(LayerIndexError) in
            if left.key != right.key { return left.key < right.key }
            try meter.count()
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

    /// Adds the merged entry called `name` to `directory`. `found` contains the layers' entries of that name, uppermost
    /// first. If the uppermost entry is a whiteout, adds nothing.
    private mutating func add(
        _ name: UnsafeRawBufferPointer, from found: [Source], to directory: Pending
    ) throws(LayerIndexError) {
        let top = found[0]
        try meter.count(found.count)
        let attributes = try layers[top.layer].attributes(top.inode)
        guard !attributes.isWhiteout else { return }
        let node = try arena.append(parent: directory.node, name: name)
        guard attributes.kind == .directory else {
            return try addFile(node, from: top, attributes: attributes, directory.heritage[top.layer])
        }
        try addDirectory(node, of: found[...], depth: directory.depth + 1, in: directory)
    }

    /// Makes `node` a directory, and queues the merge of the directory's entries. `found` contains the layers' inodes
    /// at the directory's path, uppermost first. An opaque directory, or a file that is not a directory, hides the
    /// inodes after it.
    ///
    /// The attributes come from the uppermost layer, unless ``fillMarked(_:from:in:)`` has to combine several layers.
    private mutating func addDirectory(
        _ node: UInt32, of found: ArraySlice<Source>, depth: Int, in parent: Pending?
    ) throws(LayerIndexError) {
        guard depth <= limits.depth else { throw LayerIndexError(.limit, "directories \(depth) deep") }
        let start = sources.count
        var floor = parent?.floor ?? 0
        var isMarked = false
        for source in found {
            guard try layers[source.layer].attributes(source.inode).kind == .directory else {
                floor = source.layer + 1
                break
            }
            sources.append(source)
            if try mark(source, "trusted.overlay.rivulet.implied") != nil || parent?.heritage[source.layer] != nil {
                isMarked = true
            }
            // Overlayfs ignores the mark of a layer's root.
            if node != 0, try mark(source, "trusted.overlay.opaque") == Mark.all {
                floor = source.layer
                break
            }
        }
        var pending = Pending(node: node, sourceCount: sources.count - start, depth: depth, floor: floor, heritage: [:])
        if let top = found.first {
            if isMarked {
                pending.heritage = try fillMarked(node, from: found, in: parent)
            } else {
                try fill(
                    node, from: top, attributes: try layers[top.layer].attributes(top.inode),
                    parent?.heritage[top.layer])
            }
        }
        self.pending.append(pending)
    }

    // MARK: - Attributes of directories

    /// The values of the extended attributes that mark implied and opaque directories.
    /// ``ExtendedAttributeName/impliedSuffix`` may have either value. ``ExtendedAttributeName/opaqueSuffix`` has the
    /// value ``all``.
    private enum Mark {
        static let all: UInt8 = 0x79
        static let extendedAttributes: UInt8 = 0x78
    }

    /// Returns the value of the extended attribute `name` of `source`; `nil` if there is no value of exactly one byte.
    private func mark(_ source: Source, _ name: StaticString) throws(LayerIndexError) -> UInt8? {
        guard layers[source.layer].hasExtendedAttributes else { return nil }
        let text = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return try layers[source.layer].extendedAttribute(source.inode, name: text) { $0.count == 1 ? $0[0] : nil }
            ?? nil
    }

    /// The attributes that a layer's directory would have if containerd unpacked the layer.
    private struct Unpacked {
        var attributes: NodeAttributes
        var xattrs: ExtendedAttributeList
        /// The attributes that the layer's entries in the directory inherit from the directory; `nil` if there are
        /// none. Attributes that the layer's own index already contains are left out.
        var heritage: Heritage?
    }

    /// Sets the attributes of the directory `node`, which come from several layers.
    ///
    /// A layer that only implies the directory takes the attributes from the next lower layer that has the path. That
    /// lower layer counts even if another layer hides its entries at the path. containerd does the same when it creates
    /// a missing parent directory.
    ///
    /// - Returns: for each layer, the attributes that the layer's entries in the directory inherit from the directory.
    private mutating func fillMarked(
        _ node: UInt32, from found: ArraySlice<Source>, in parent: Pending?
    ) throws(LayerIndexError) -> [Int: Heritage] {
        var plain = found.endIndex
        var below: Unpacked?
        // The layer from which on the path has to be looked up, because it is not in `found`.
        var hidden = (parent?.floor ?? 0) - 1
        for (index, source) in zip(found.indices, found) {
            let kind = try layers[source.layer].attributes(source.inode).kind
            guard kind != .directory else { continue }
            plain = index
            hidden = kind == .symlink ? source.layer : -1
            break
        }
        // containerd looks further down only for a missing parent.
        if hidden >= 0, let lowest = found[..<plain].last,
            try mark(lowest, "trusted.overlay.rivulet.implied") != nil
        {
            below = try unpacked(path(of: node), from: hidden)
        }
        var heritage: [Int: Heritage] = [:]
        for source in found[..<plain].reversed() {
            let mark = try mark(source, "trusted.overlay.rivulet.implied")
            let own = try unpacked(source, mark, over: below, parent?.heritage[source.layer])
            if let passed = own.heritage { heritage[source.layer] = passed }
            below = own
        }
        if let below {
            set(node, below.attributes)
            var list = below.xattrs
            list.removeOverlayNames()
            try arena.setXattrs(&list, of: node)
        }
        return heritage
    }

    /// Returns the attributes that the directory `source` would have if containerd unpacked the directory's layer.
    ///
    /// - Parameters:
    ///   - mark: the value of the directory's ``ExtendedAttributeName/impliedSuffix``; `nil` if the directory has no
    ///     such mark.
    ///   - below: the directory at the same path in the next lower layer that has the path; `nil` if there is none.
    ///   - heritage: the attributes that the directory inherits from its parent.
    private mutating func unpacked(
        _ source: Source, _ mark: UInt8?, over below: Unpacked?, _ heritage: Heritage?
    ) throws(LayerIndexError) -> Unpacked {
        var result = Unpacked(
            attributes: try layers[source.layer].attributes(source.inode), xattrs: ExtendedAttributeList())
        // The order of events: mkdir(2), a copy of what is below, then the entry.
        if let list = heritage?.defaultList { result.xattrs.inherit(list, isDirectory: true) }
        if mark != nil, let below {
            if mark == Mark.all { result.attributes = below.attributes }
            // What mkdir(2) has set already is not copied.
            var copied = below.xattrs
            copied.merge(result.xattrs)
            result.xattrs = copied
        } else if mark == Mark.all, let group = heritage?.group {
            result.attributes.gid = group
        }
        result.xattrs.normalize()
        let list = result.xattrs.value(index: ExtendedAttributeName.aclDefaultIndex)
        // Files that are older than the entry do not inherit from it.
        let implied = mark == Mark.extendedAttributes ? below?.attributes : result.attributes
        let group = implied.flatMap { mark != nil && $0.mode & 0o2000 != 0 ? $0.gid : nil }
        if list != nil || group != nil { result.heritage = Heritage(defaultList: list, group: group) }
        var own = ExtendedAttributeList()
        try append(source, to: &own)
        own.removeOverlayNames()
        result.xattrs.merge(own)
        result.xattrs.setMode(result.attributes.mode)
        result.xattrs.normalize()
        return result
    }

    /// Returns the path of a node in the merged tree.
    private func path(of node: UInt32) -> [[UInt8]] {
        var path: [[UInt8]] = []
        var step = node
        while step != 0 {
            let node = arena.nodes[Int(step)]
            path.append(Array(arena.bytes[Int(node.nameOffset)..<Int(node.nameOffset) + Int(node.nameLength)]))
            step = node.parent
        }
        return path.reversed()
    }

    /// Searches the layers from `layer` down to `lowest`. Returns the attributes of the directory at `path` in the
    /// first layer that has the path. Follows the symbolic links of each layer inside the layer's root.
    ///
    /// - Returns: `nil` if no layer has the path, or if the path leads to something other than a directory. The result
    ///   is also `nil` if a layer's symbolic links cannot be resolved. containerd refuses such an image.
    private mutating func unpacked(
        _ path: [[UInt8]], from layer: Int, downTo lowest: Int = 0
    ) throws(LayerIndexError) -> Unpacked? {
        for layer in (lowest...layer).reversed() {
            let view = TreeView(tree: layers[layer])
            let resolved: RootPath
            let before = resolutionBudget
            do throws(LayerIndexError) {
                resolved = try RootPath(path, in: view, limits: limits, budget: &resolutionBudget)
            } catch {
                try meter.count(Int((before - resolutionBudget) / 64))
                guard error.code == .invalidPath else { throw error }
                return nil
            }
            try meter.count(path.count + 1)
            let work = UInt64(path.count + 1) * 8
            guard work <= resolutionBudget else {
                throw LayerIndexError(.limit, "too many directories that only lower layers describe")
            }
            resolutionBudget -= work
            var inode = view.rootNode
            var isFound = true
            for name in resolved.names {
                switch try view.find(name, in: inode) {
                case .directory(let next): inode = next
                case .absent: isFound = false
                case .symbolicLink, .other: return nil
                }
                if !isFound { break }
            }
            guard isFound else { continue }
            let source = Source(layer: layer, inode: inode)
            let mark = try mark(source, "trusted.overlay.rivulet.implied")
            guard mark != nil else { return try unpacked(source, nil, over: nil, nil) }
            let below = layer == 0 ? nil : try unpacked(resolved.names, from: layer - 1)
            let parent = Array(resolved.names.dropLast())
            let heritage = parent.isEmpty ? nil : try unpacked(parent, from: layer, downTo: layer)?.heritage
            return try unpacked(source, mark, over: below, heritage)
        }
        return nil
    }

    private mutating func append(_ source: Source, to list: inout ExtendedAttributeList) throws(LayerIndexError) {
        guard layers[source.layer].hasExtendedAttributes else { return }
        try meter.count(1 + (try layers[source.layer].inode(source.inode).xattrSize) / 64)
        var copy = list
        try layers[source.layer].forEachExtendedAttribute(source.inode) { name, value in
            if let split = ExtendedAttributeName.split(name) {
                copy.set(index: split.index, name: Array(name[split.prefix...]), value: Array(value))
            }
            return true
        }
        list = copy
    }

    private mutating func addFile(
        _ node: UInt32, from source: Source, attributes: NodeAttributes, _ heritage: Heritage?
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
        try fill(node, from: source, attributes: attributes, attributes.kind == .symlink ? nil : heritage)
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

    /// Copies `attributes` to `node`, and the extended attributes of `source` except overlayfs's own. Adds the access
    /// control lists that the node inherits.
    private mutating func fill(
        _ node: UInt32, from source: Source, attributes: NodeAttributes, _ heritage: Heritage?
    ) throws(LayerIndexError) {
        set(node, attributes)
        guard layers[source.layer].hasExtendedAttributes || heritage?.defaultList != nil else { return }
        var list = ExtendedAttributeList()
        if let inherited = heritage?.defaultList { list.inherit(inherited, isDirectory: attributes.kind == .directory) }
        try append(source, to: &list)
        list.removeOverlayNames()
        if heritage?.defaultList != nil {
            list.normalize()
            list.setMode(attributes.mode)
        }
        try arena.setXattrs(&list, of: node)
    }

    private mutating func set(_ node: UInt32, _ attributes: NodeAttributes) {
        let index = Int(node)
        arena.nodes[index].mode = attributes.mode
        arena.nodes[index].uid = attributes.uid
        arena.nodes[index].gid = attributes.gid
        arena.nodes[index].modifiedSeconds = attributes.modifiedSeconds
        arena.nodes[index].modifiedNanoseconds = attributes.modifiedNanoseconds
    }
}
