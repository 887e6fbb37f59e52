import Base
import Codecs
import LayerIndex
import TestSupport

/// A layer index and the blob that it is of, as a reader sees them.
struct OpenedLayer {
    struct Node {
        var inode: UInt64
        var attributes: NodeAttributes
        var link: [UInt8] = []
        var xattrs: [String: [UInt8]] = [:]

        var kind: FileKind? { attributes.kind }
        var permissions: UInt16 { attributes.mode & 0o7777 }
    }

    struct Failure: Error {
        let reason: String
    }

    let tree: TreeImage
    let chunks: ChunkTable
    let blob: [UInt8]
    /// By path without a leading slash; the root is "".
    private(set) var nodes: [String: Node] = [:]

    init(_ index: LayerIndexBytes, of blob: EstargzBlob) throws {
        tree = try TreeImage(bytes: index.tree)
        chunks = try ChunkTable(bytes: index.chunks)
        self.blob = blob.bytes
        try walk(tree.rootInode, "")
    }

    private mutating func walk(_ inode: UInt64, _ path: String) throws {
        var node = Node(inode: inode, attributes: try tree.attributes(inode))
        if node.kind == .symlink { node.link = try tree.withSymbolicLink(inode) { Array($0) } }
        var xattrs: [String: [UInt8]] = [:]
        try tree.forEachExtendedAttribute(inode) { name, value in
            xattrs[String(decoding: name, as: UTF8.self)] = Array(value)
            return true
        }
        node.xattrs = xattrs
        nodes[path] = node
        guard node.kind == .directory else { return }
        var children: [(String, UInt64)] = []
        try tree.forEachEntry(inode) { name, child, _, _ in
            let name = String(decoding: name, as: UTF8.self)
            if name != ".", name != ".." { children.append((name, child)) }
            return true
        }
        for (name, child) in children { try walk(child, path.isEmpty ? name : path + "/" + name) }
    }

    func node(_ path: String) throws -> Node {
        guard let node = nodes[path] else { throw Failure(reason: "no \(path) among \(nodes.keys.sorted())") }
        return node
    }

    /// All bytes of a file, from the blob, every chunk checked.
    func contents(_ path: String) throws -> [UInt8] {
        let node = try node(path)
        guard let content = try tree.content(node.inode) else { return [] }
        var bytes: [UInt8] = []
        for index in chunks.chunks(overlapping: content.range) {
            bytes += try decode(index)
        }
        return bytes
    }

    /// The bytes of one chunk.
    func decode(_ index: Int) throws -> [UInt8] {
        let chunk = chunks.chunk(index)
        let extent = chunks.extent(chunk.extent)
        let decoder = ExtentDecoder()
        decoder.reset(.gzip)
        var output = [UInt8](repeating: 0, count: Int(extent.decodedLength))
        let produced = try blob[Int(extent.blob.offset)..<Int(extent.blob.end)].withUnsafeBytes { input in
            try output.withUnsafeMutableBytes { try decoder.decode(input, into: $0).produced }
        }
        guard produced == output.count else { throw Failure(reason: "extent \(chunk.extent) is cut short") }
        let start = Int(chunk.innerOffset)
        let bytes = Array(output[start..<start + Int(chunk.content.count)])
        guard Digest.of(bytes) == chunk.digest else { throw Failure(reason: "chunk \(index) has another digest") }
        return bytes
    }
}

extension EstargzBlob {
    /// The blob as a reader sees it, opened with its annotation.
    func opened() throws -> OpenedLayer {
        try OpenedLayer(open(), of: self)
    }
}
