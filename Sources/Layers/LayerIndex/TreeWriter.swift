import Base

/// Writes a tree as an EROFS image. See ``EROFS`` for the conventions.
///
/// Inodes come first, directory by directory: the children of a directory lie together in the order of their names, which
/// is the order in which a listing asks for their attributes. Whole blocks of large directories follow behind all inodes.
struct TreeWriter {
    /// A layer that regular files can lie in.
    struct Device {
        var digest: Digest
        /// Of its content space.
        var blocks: UInt64
    }

    /// Stand for `.` and `..` among a directory's children.
    static let selfMarker = UInt32.max
    static let parentMarker = UInt32.max - 1

    var arena: NodeArena
    let devices: [Device]
    /// Where each node's children start in ``children``; one more than there are nodes.
    var childStart: [UInt32] = []
    var children: [UInt32] = []
    /// Each node's inode number, its byte offset divided by 32; 0 until it has a place.
    var slots: [UInt32] = []
    var epoch: Epoch = Epoch(seconds: 0, nanoseconds: 0)
    var inodeCount: UInt64 = 0
    var hasXattrs = false
    /// Where the whole blocks of directories and links start, in blocks, and how many they are.
    var dataStart = 0
    var dataBlocks = 0

    /// The time that compact inodes have.
    struct Epoch: Hashable {
        var seconds: Int64
        var nanoseconds: UInt32
    }

    /// The image of the tree in `arena`, whose hard links are resolved and whose links are counted.
    static func write(_ arena: consuming NodeArena, devices: [Device]) throws(LayerIndexError) -> [UInt8] {
        var writer = TreeWriter(arena: arena, devices: devices)
        writer.collectChildren()
        writer.sortChildren()
        writer.measureDirectories()
        writer.chooseEpoch()
        try writer.placeInodes()
        return try writer.image()
    }

    private init(arena: consuming NodeArena, devices: [Device]) {
        self.arena = arena
        self.devices = devices
    }

    /// The node that a directory entry leads to.
    @inline(__always)
    func target(_ node: UInt32) -> UInt32 {
        arena.nodes[Int(node)].flags.contains(.hardLink) ? arena.nodes[Int(node)].payload : node
    }

    /// The children of a directory, with the markers, in the order of their names.
    @inline(__always)
    func childRange(_ directory: UInt32) -> Range<Int> {
        Int(childStart[Int(directory)])..<Int(childStart[Int(directory) + 1])
    }

    /// Fills ``childStart`` and ``children``, by counting.
    private mutating func collectChildren() {
        let count = arena.nodes.count
        childStart = [UInt32](repeating: 0, count: count + 1)
        var total = 0
        for index in 0..<count where !arena.nodes[index].flags.contains(.dead) {
            if index != 0 {
                childStart[Int(arena.nodes[index].parent) + 1] += 1
                total += 1
            }
            if arena.nodes[index].isDirectory {
                childStart[index + 1] += 2
                total += 2
            }
        }
        for index in 0..<count { childStart[index + 1] += childStart[index] }
        children = [UInt32](repeating: 0, count: total)
        var next = childStart
        func add(_ child: UInt32, to directory: Int) {
            children[Int(next[directory])] = child
            next[directory] += 1
        }
        for index in 0..<count where !arena.nodes[index].flags.contains(.dead) {
            if arena.nodes[index].isDirectory {
                add(Self.selfMarker, to: index)
                add(Self.parentMarker, to: index)
            }
            if index != 0 { add(UInt32(index), to: Int(arena.nodes[index].parent)) }
        }
    }

    /// How many bytes the entries of each directory take, as EROFS cuts them into blocks.
    private mutating func measureDirectories() {
        for index in arena.nodes.indices where isLiveDirectory(index) {
            var blocks = 0
            var used = 0
            for child in childRange(UInt32(index)) {
                let need = EROFS.direntSize + nameLength(children[child])
                if used + need > EROFS.blockSize {
                    blocks += 1
                    used = 0
                }
                used += need
            }
            arena.nodes[index].size = UInt64(blocks * EROFS.blockSize + used)
        }
    }

    func isLiveDirectory(_ index: Int) -> Bool {
        arena.nodes[index].isDirectory && !arena.nodes[index].flags.contains(.dead)
    }

    @inline(__always)
    func nameLength(_ child: UInt32) -> Int {
        switch child {
        case Self.selfMarker: 1
        case Self.parentMarker: 2
        default: Int(arena.nodes[Int(child)].nameLength)
        }
    }

    /// Takes the time that most files have for the compact inodes: where a layer was made with one time for all, that is
    /// a third of the image.
    private mutating func chooseEpoch() {
        var counts: [Epoch: Int] = [:]
        for node in arena.nodes where isInode(node) && node.modifiedSeconds >= 0 {
            // Bounded: a layer of a million different times has no good one anyway.
            let time = Epoch(seconds: node.modifiedSeconds, nanoseconds: node.modifiedNanoseconds)
            if counts.count < 65_536 || counts[time] != nil { counts[time, default: 0] += 1 }
        }
        var best = 0
        for (time, count) in counts {
            if count > best || count == best && (time.seconds, time.nanoseconds) < (epoch.seconds, epoch.nanoseconds) {
                best = count
                epoch = time
            }
        }
    }

    private func isInode(_ node: NodeArena.Node) -> Bool {
        !node.flags.contains(.dead) && !node.flags.contains(.hardLink)
    }
}
