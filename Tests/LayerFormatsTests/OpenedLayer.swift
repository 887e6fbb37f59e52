import Base
import Codecs
import LayerIndex
import TestSupport

/// A layer index and the blob that it describes, as a reader sees them.
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
    /// The windows blob.
    let windows: [UInt8]
    /// The nodes by path, without a leading slash; the root is "".
    private(set) var nodes: [String: Node] = [:]

    init(_ index: LayerIndexBytes, of blob: EstargzBlob) throws {
        try self.init(index, of: blob.bytes, windows: [])
    }

    init(_ index: LayerIndexBytes, of blob: [UInt8], windows: [UInt8]) throws {
        tree = try TreeImage(bytes: index.tree)
        chunks = try ChunkTable(bytes: index.chunks)
        self.blob = blob
        self.windows = windows
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

    /// Returns all bytes of a file, decoded from the blob, and checks every chunk.
    func contents(_ path: String) throws -> [UInt8] {
        let node = try node(path)
        guard let content = try tree.content(node.inode) else { return [] }
        var bytes: [UInt8] = []
        for index in chunks.chunks(overlapping: content.range) {
            bytes += try decode(index)
        }
        return bytes
    }

    /// Returns the decoded bytes of one chunk.
    func decode(_ index: Int) throws -> [UInt8] {
        let chunk = chunks.chunk(index)
        guard !chunk.isZeros else { return [UInt8](repeating: 0, count: Int(chunk.content.count)) }
        let extent = chunks.extent(chunk.extent)
        let decoder = ExtentDecoder()
        switch extent.codec {
        case .raw: decoder.reset(.raw)
        case .gzip: decoder.reset(.gzip)
        case .zstd: decoder.reset(.zstd)
        case .deflate:
            guard let restart = extent.restart,
                let start = DeflateRestart(bitCount: restart.bitCount, bits: restart.bits)
            else { throw Failure(reason: "extent \(chunk.extent) does not say how it begins") }
            let stored = Array(windows[Int(restart.window.offset)..<Int(restart.window.end)])
            guard restart.isWindow(stored) else {
                throw Failure(reason: "the window of extent \(chunk.extent) is another")
            }
            decoder.reset(start, window: try Self.window(stored))
        }
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

extension OpenedLayer {
    /// Returns the content of a window of the windows blob.
    private static func window(_ stored: [UInt8]) throws -> [UInt8] {
        guard !stored.isEmpty else { return [] }
        let decoder = ExtentDecoder()
        decoder.reset(.zstd)
        var window = [UInt8](repeating: 0, count: DeflateRestart.windowSize)
        let count = try stored.withUnsafeBytes { input in
            try window.withUnsafeMutableBytes { try decoder.decode(input, into: $0).produced }
        }
        return Array(window[..<count])
    }
}

extension EstargzBlob {
    /// Opens the blob with its annotation, and returns it as a reader sees it.
    func opened() throws -> OpenedLayer {
        try OpenedLayer(open(), of: self)
    }
}
