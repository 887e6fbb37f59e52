import Base
public import ContentStore
public import LayerIndex

/// The translation between the file ranges that a profile names and the chunks of a chain, which is a stack of layers.
extension Profile {
    /// Returns the chunks that hold this profile's file ranges, in the profile's order. Skips files that the chain
    /// lacks, and ranges that begin past the end of a file.
    ///
    /// - Parameters:
    ///   - tree: the chain's merged tree.
    ///   - layers: the chain's layers. `layers[n]` is the layer with device number n in the tree.
    public func pieces(in tree: TreeImage, _ layers: [StoredLayer]) -> [ChunkRun] {
        var runs: [ChunkRun] = []
        runs.reserveCapacity(entries.count)
        // Adjacent entries of a profile often lie in the same directory, so remembering the last directory saves most
        // of the walk.
        var directory: (path: ArraySlice<UInt8>, inode: UInt64)?
        for entry in entries {
            let slash = entry.path.lastIndex(of: UInt8(ascii: "/"))
            let parent = slash.map { entry.path[..<$0] } ?? []
            if directory?.path != parent {
                directory = Self.find(parent, in: tree).map { (parent, $0) }
            }
            let name = entry.path[(slash.map { $0 + 1 } ?? 0)...]
            guard let inode = directory?.inode, let file = Self.lookup(name, in: inode, of: tree),
                let content = try? tree.content(file), layers.indices.contains(content.device),
                entry.range.offset < content.range.count
            else { continue }
            let bytes = ByteRange(
                offset: content.range.offset + entry.range.offset,
                end: content.range.offset + min(entry.range.end, content.range.count))
            let layer = layers[content.device]
            let chunks = layer.chunks.chunks(overlapping: bytes)
            if !chunks.isEmpty { runs.append(ChunkRun(layer: layer, chunks: chunks)) }
        }
        return runs
    }

    /// Creates a profile from the recorded first reads of a chain's chunks.
    ///
    /// - Parameters:
    ///   - touches: the first read of each chunk, in order.
    ///   - tree: the chain's merged tree.
    public init(_ touches: [TouchLog.Touch], of tree: TreeImage) {
        let paths = Self.paths(of: Set(touches.map(\.inode)), in: tree)
        entries = touches.compactMap { touch in
            guard let path = paths[touch.inode], !touch.range.isEmpty else { return nil }
            return Entry(
                path: path, range: touch.range, milliseconds: UInt32(clamping: touch.time / 1_000_000))
        }
    }

    private static func find(_ path: ArraySlice<UInt8>, in tree: TreeImage) -> UInt64? {
        var inode = tree.rootInode
        for name in path.split(separator: UInt8(ascii: "/")) {
            guard let next = lookup(name, in: inode, of: tree) else { return nil }
            inode = next
        }
        return inode
    }

    private static func lookup(_ name: ArraySlice<UInt8>, in directory: UInt64, of tree: TreeImage) -> UInt64? {
        // A lookup in an inode that is no directory throws, which counts as "not found". Recorded paths contain no
        // symbolic link, because a profile names the file that was read and not the link.
        name.withUnsafeBytes { name in (try? tree.lookup(directory, name)) ?? nil }
    }

    /// Returns a path for each of `inodes` that the tree contains. Walks the tree once, and stops when it has found
    /// them all.
    private static func paths(of inodes: Set<UInt64>, in tree: TreeImage) -> [UInt64: [UInt8]] {
        var found: [UInt64: [UInt8]] = [:]
        var directories: [(inode: UInt64, path: [UInt8])] = [(tree.rootInode, [])]
        // Guards against directories that contain themselves.
        var seen: Set<UInt64> = [tree.rootInode]
        while let (inode, path) = directories.popLast(), found.count < inodes.count {
            try? tree.forEachEntry(inode) { name, child, type, _ in
                guard !name.elementsEqual([0x2E]), !name.elementsEqual([0x2E, 0x2E]) else { return true }
                let isDirectory = type == FileKind.directory.rawValue
                guard isDirectory || inodes.contains(child) else { return true }
                let whole = path.isEmpty ? Array(name) : path + [UInt8(ascii: "/")] + name
                if isDirectory {
                    if whole.count < 4096, seen.insert(child).inserted { directories.append((child, whole)) }
                } else if found[child] == nil {
                    found[child] = whole
                }
                return true
            }
        }
        return found
    }
}
