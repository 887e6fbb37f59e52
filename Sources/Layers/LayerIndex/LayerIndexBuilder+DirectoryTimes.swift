/// The times of directories, which containerd sets a second time when it has unpacked all entries
/// (`archive.applyNaive`).
///
/// At that time, it looks up the path of each directory entry again. If an entry has replaced a directory or a symbolic
/// link of the path in the meantime, the path leads to another file, which then gets the directory's time.
extension LayerIndexBuilder {
    /// The entry of a directory.
    struct DirectoryEntry {
        /// The directory at the time of the entry.
        var node: UInt32
        /// The place of the entry's path in ``NodeArena/bytes``; `nil` if the path has no symbolic links.
        var path: Range<Int>?
        var seconds: Int64
        var nanoseconds: UInt32
    }

    /// Records the entry of a directory.
    ///
    /// - Parameter bytes: the entry's path, which ``path`` has cleaned.
    mutating func note(directory node: UInt32, at bytes: UnsafeRawBufferPointer) throws(LayerIndexError) {
        try arena.take(memory: MemoryLayout<DirectoryEntry>.stride)
        let filled = arena.nodes[Int(node)]
        var entry = DirectoryEntry(
            node: node, seconds: filled.modifiedSeconds, nanoseconds: filled.modifiedNanoseconds)
        if isBehindLinks {
            let start = Int(try arena.store(bytes))
            entry.path = start..<start + bytes.count
        }
        directoryEntries.append(entry)
    }

    /// Sets the times of directories again, if a path of one may lead to another file now. Call this after
    /// ``markDead()`` and after hard links are resolved.
    mutating func setDirectoryTimesAgain(_ meter: inout WorkMeter) throws(LayerIndexError) {
        let entries = directoryEntries
        directoryEntries = []
        guard entries.contains(where: { $0.path != nil || arena.nodes[Int($0.node)].flags.contains(.dead) }) else {
            return
        }
        // The steps of the entry before.
        var stepsBehindLinks = 0
        for entry in entries {
            let names = try names(of: entry)
            let before = hiddenSteps
            defer { stepsBehindLinks += hiddenSteps - before }
            try meter.count(1 + names.count + stepsBehindLinks)
            stepsBehindLinks = 0
            // containerd refuses a layer in which such a path leads nowhere. All its entries are there, so it is used
            // here.
            guard let node = try? node(at: names) else { continue }
            let isLink = arena.nodes[Int(node)].flags.isSuperset(of: [.hardLink, .resolved])
            let target = isLink ? Int(arena.nodes[Int(node)].payload) : Int(node)
            arena.nodes[target].modifiedSeconds = entry.seconds
            arena.nodes[target].modifiedNanoseconds = entry.nanoseconds
        }
    }

    private mutating func names(of entry: DirectoryEntry) throws(LayerIndexError) -> [[UInt8]] {
        if let range = entry.path {
            let bytes = Array(arena.bytes[range])
            try bytes.withUnsafeBufferPointer { (bytes) throws(LayerIndexError) in
                try path.clean(UnsafeRawBufferPointer(bytes))
            }
            return path.names.map { Array(bytes[$0]) }
        }
        var names: [[UInt8]] = []
        var node = Int(entry.node)
        while node != 0 {
            let start = Int(arena.nodes[node].nameOffset)
            names.append(Array(arena.bytes[start..<start + Int(arena.nodes[node].nameLength)]))
            node = Int(arena.nodes[node].parent)
        }
        return names.reversed()
    }

    /// Returns the node to which a path leads, also through a link at its end; `nil` if there is none.
    private mutating func node(at names: [[UInt8]]) throws(LayerIndexError) -> UInt32? {
        var node: UInt32 = 0
        for name in try resolve(names) {
            guard let next = name.withUnsafeBytes({ lookup($0, in: node) }) else { return nil }
            node = next
        }
        return node
    }
}
