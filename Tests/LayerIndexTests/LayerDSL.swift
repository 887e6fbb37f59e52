import Base
import LayerIndex

/// Short forms for layers written by hand.
extension LayerEntry {
    static func directory(_ path: String, mode: UInt16 = 0o755, xattrs: [(String, String)] = []) -> LayerEntry {
        LayerEntry(
            path: Array(path.utf8), kind: .directory, attributes: NodeAttributes(mode: mode),
            xattrs: xattrs.map { (Array($0.0.utf8), Array($0.1.utf8)) })
    }

    /// Returns an empty file, identified by its mode.
    static func file(_ path: String, mode: UInt16 = 0o644, xattrs: [(String, String)] = []) -> LayerEntry {
        LayerEntry(
            path: Array(path.utf8), kind: .regular, attributes: NodeAttributes(mode: mode),
            xattrs: xattrs.map { (Array($0.0.utf8), Array($0.1.utf8)) })
    }

    static func link(_ path: String, to target: String) -> LayerEntry {
        link(path, to: target, mode: 0o644)
    }

    /// Returns a hard link, which sets the mode of its target.
    static func link(
        _ path: String, to target: String, mode: UInt16, xattrs: [(String, String)] = []
    ) -> LayerEntry {
        LayerEntry(
            path: Array(path.utf8), kind: .hardlink, attributes: NodeAttributes(mode: mode),
            linkTarget: Array(target.utf8), xattrs: xattrs.map { (Array($0.0.utf8), Array($0.1.utf8)) })
    }

    static func symlink(_ path: String, to target: String) -> LayerEntry {
        LayerEntry(path: Array(path.utf8), kind: .symlink, linkTarget: Array(target.utf8))
    }

    /// Returns a file with pieces in the given extents.
    static func file(_ path: String, pieces: [(extent: UInt32, inner: UInt64, length: UInt64)]) -> LayerEntry {
        var entry = LayerEntry(path: Array(path.utf8), attributes: NodeAttributes(mode: 0o644))
        for piece in pieces {
            entry.pieces.append(
                ContentPiece(
                    fileOffset: entry.attributes.size, length: piece.length,
                    digest: .of(Array("\(path) \(entry.attributes.size)".utf8)), extent: piece.extent,
                    innerOffset: piece.inner))
            entry.attributes.size += piece.length
        }
        return entry
    }
}

enum Layers {
    static let digest = Digest.of(Array("layer".utf8))

    /// Returns the index of a layer with `extents` contiguous extents of 1000 bytes each.
    static func index(
        _ entries: [LayerEntry], extents: Int = 0, digest: Digest = digest, limits: IndexLimits = .standard,
        prefetch: PrefetchHint = .unknown
    ) throws -> LayerIndexBytes {
        var builder = LayerIndexBuilder(blobDigest: digest, blobSize: 1 << 30, limits: limits)
        for number in 0..<UInt64(extents) {
            let range = ByteRange(offset: number * 1000, end: (number + 1) * 1000)
            _ = try builder.addExtent(range, codec: number % 2 == 0 ? .gzip : .zstd)
        }
        builder.setPrefetch(prefetch)
        for entry in entries { try builder.add(entry) }
        return try builder.finish()
    }

    static func tree(_ entries: [LayerEntry], digest: Digest = digest) throws -> TreeImage {
        try TreeImage(bytes: try index(entries, digest: digest).tree)
    }

    /// Describes a tree, one line for each name: mode in octal, links, path, and attributes.
    static func describe(_ tree: TreeImage) throws -> [String] {
        try Listing(tree).files.map { path, file in
            var line = String(file.attributes.mode, radix: 8) + " \(file.attributes.linkCount) "
            line += path.isEmpty ? "/" : String(decoding: path, as: UTF8.self)
            if file.firstName != path { line += " = " + String(decoding: file.firstName, as: UTF8.self) }
            if !file.target.isEmpty { line += " -> " + String(decoding: file.target, as: UTF8.self) }
            for (name, value) in file.xattrs.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                let text = "\(String(decoding: name, as: UTF8.self))=\(String(decoding: value, as: UTF8.self))"
                switch text {
                case "trusted.overlay.rivulet.implied=y": line += " implied"
                case "trusted.overlay.rivulet.implied=x": line += " inherits"
                default: line += " " + text
                }
            }
            return (path: path, line: line)
        }
        .sorted { $0.path.lexicographicallyPrecedes($1.path) }.map { $0.line }
    }

    static func describe(_ entries: [LayerEntry]) throws -> [String] {
        try describe(try tree(entries))
    }

    /// Describes the merged chain of `layers`, bottom first.
    static func merge(_ layers: [[LayerEntry]]) throws -> [String] {
        var trees: [(tree: TreeImage, digest: Digest)] = []
        for (number, entries) in layers.enumerated() {
            let digest = Digest.of(Array("layer \(number)".utf8))
            trees.append((try tree(entries, digest: digest), digest))
        }
        return try describe(try TreeImage(bytes: try ChainMerger.merge(trees)))
    }
}
