import Base
import LayerIndex

/// Measures the index of a large layer: building it, finding files in its tree, and merging five layers.
enum TreeBench {
    static func run(entries count: Int) throws {
        let entries = entries(count, salt: 0)
        var index = LayerIndexBytes(tree: [], chunks: [])
        let built = try LayerBench.measure(5) { index = try build(entries, salt: 0) }
        print("\(count) entries: tree \(index.tree.count) bytes, tables \(index.chunks.count) bytes")
        print("built in \(Int(built.best * 1e3)) ms best, \(Int(built.median * 1e3)) ms median")
        try lookUp(entries, in: TreeImage(bytes: index.tree))
        let layers = try (UInt8(0)..<5).map { salt in
            (
                tree: try TreeImage(bytes: try build(Self.entries(count / 2, salt: salt), salt: salt).tree),
                digest: Digest.of([salt])
            )
        }
        var size = 0
        let merged = try LayerBench.measure(5) { size = try ChainMerger.merge(layers).count }
        print("5 layers of \(count / 2) entries: \(size) bytes")
        print("merged in \(Int(merged.best * 1e3)) ms best, \(Int(merged.median * 1e3)) ms median")
    }

    /// Looks up every seventh file by its path, and reads its attributes.
    private static func lookUp(_ entries: [LayerEntry], in tree: TreeImage) throws {
        let paths = stride(from: 1, to: entries.count, by: 7).map { number in
            entries[number].path.split(separator: UInt8(ascii: "/")).map(Array.init)
        }
        let names = paths.reduce(0) { $0 + $1.count }
        let time = try LayerBench.measure(5) {
            for path in paths {
                var inode = tree.rootInode
                for name in path {
                    guard let found = try name.withUnsafeBytes({ try tree.lookup(inode, $0) }) else {
                        preconditionFailure("the tree holds every entry")
                    }
                    inode = found
                }
                _ = try tree.attributes(inode)
            }
        }
        print("\(names) lookups: \(Int(time.median * 1e9) / names) ns each, median")
    }

    /// Returns the entries of a layer of `count` files in directories of 50, like a distribution's `/usr`.
    private static func entries(_ count: Int, salt: UInt8) -> [LayerEntry] {
        var entries: [LayerEntry] = []
        entries.reserveCapacity(count)
        var directory = ""
        for number in 0..<count {
            if number % 50 == 0 {
                directory = "usr/lib/python3/dist-packages/package\(number / 500)/module\(number / 50)"
                entries.append(
                    LayerEntry(
                        path: Array((directory + "/").utf8), kind: .directory,
                        attributes: NodeAttributes(mode: 0o755, modifiedSeconds: 1_700_000_000 + Int64(number / 50))))
                continue
            }
            let digest = Digest.of([salt, UInt8(number & 255), UInt8(number >> 8 & 255), UInt8(number >> 16)])
            let size = UInt64(number % 9000 + 1)
            entries.append(
                LayerEntry(
                    path: Array("\(directory)/source_file_\(number).py".utf8), kind: .regular,
                    attributes: NodeAttributes(
                        mode: 0o644, modifiedSeconds: 1_700_000_000 + Int64(number / 50), size: size),
                    pieces: [
                        ContentPiece(
                            fileOffset: 0, length: size, digest: digest, extent: UInt32(entries.count), innerOffset: 0)
                    ]))
        }
        return entries
    }

    private static func build(_ entries: [LayerEntry], salt: UInt8) throws -> LayerIndexBytes {
        var builder = LayerIndexBuilder(blobDigest: .of([salt]), blobSize: UInt64(entries.count) * 4096)
        for number in entries.indices {
            _ = try builder.addExtent(
                ByteRange(offset: UInt64(number) * 4096, end: UInt64(number + 1) * 4096), codec: .gzip)
        }
        for entry in entries { try builder.add(entry) }
        return try builder.finish()
    }
}
