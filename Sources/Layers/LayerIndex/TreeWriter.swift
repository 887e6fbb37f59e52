import Base

/// A writer of a tree as an EROFS image. See ``EROFS`` for the conventions.
///
/// Inodes come first, directory by directory. A directory's children are adjacent in the order of their names, because
/// a listing reads their attributes in that order. The data blocks of directories and symbolic links follow all inodes.
struct TreeWriter {
    /// A layer as a device of the EROFS image. Regular files name the device that contains their bytes.
    struct Device {
        var digest: Digest
        /// The size of the layer's content space, in blocks.
        var blocks: UInt64
    }

    /// The markers for the entries `.` and `..` among a directory's children.
    static let selfMarker = UInt32.max
    static let parentMarker = UInt32.max - 1

    var arena: NodeArena
    let devices: [Device]
    /// The position in ``children`` at which each node's children start. The array has one more element than there are
    /// nodes, so that the last node's children also have an end.
    var childStart: [UInt32] = []
    var children: [UInt32] = []
    /// Each node's inode number: the inode's byte offset divided by 32. It is 0 until ``placeInodes()`` assigns it, and
    /// stays 0 for a node without an inode.
    var slots: [UInt32] = []
    var epoch: Epoch = Epoch(seconds: 0, nanoseconds: 0)
    var inodeCount: UInt64 = 0
    var hasXattrs = false
    /// The number of the block at which the data blocks of directories and links start. These blocks follow all inodes.
    var dataStart = 0
    /// The number of data blocks of directories and links.
    var dataBlocks = 0

    /// The modification time that all compact inodes share.
    struct Epoch: Hashable {
        var seconds: Int64
        var nanoseconds: UInt32
    }

    /// Returns the EROFS image of the tree in `arena`. Before this call, the caller must resolve the hard links and
    /// compute all link counts.
    static func write(
        _ arena: consuming NodeArena, devices: [Device], meter: inout WorkMeter
    ) throws(LayerIndexError) -> [UInt8] {
        var writer = TreeWriter(arena: arena, devices: devices)
        writer.collectChildren()
        try meter.check()
        try writer.sortChildren(&meter)
        writer.measureDirectories()
        writer.chooseEpoch()
        try meter.check()
        try writer.placeInodes()
        try meter.check()
        return try writer.image()
    }

    private init(arena: consuming NodeArena, devices: [Device]) {
        self.arena = arena
        self.devices = devices
    }

    /// Returns the node that a directory entry refers to: a hard link's target, or `node` itself.
    @inline(__always)
    func target(_ node: UInt32) -> UInt32 {
        arena.nodes[Int(node)].flags.contains(.hardLink) ? arena.nodes[Int(node)].payload : node
    }

    /// Returns the range of a directory's children in ``children``, with the markers. ``sortChildren()`` sorts them by
    /// name.
    @inline(__always)
    func childRange(_ directory: UInt32) -> Range<Int> {
        Int(childStart[Int(directory)])..<Int(childStart[Int(directory) + 1])
    }

    /// Fills ``childStart`` and ``children`` with a counting sort of the nodes by parent.
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

    /// Computes the size of each directory's entries in bytes. No entry crosses a block boundary, so the size includes
    /// the unused ends of blocks.
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

    /// Chooses the most common modification time as the time that the compact inodes share. If all files of a layer
    /// have the same time, the image becomes a third smaller.
    private mutating func chooseEpoch() {
        var counts: [Epoch: Int] = [:]
        for node in arena.nodes where isInode(node) && node.modifiedSeconds >= 0 {
            // The number of counted times is bounded. More would not help: in a layer with that many times, no single
            // time is common.
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
