public import Base
import ContentStore
import LayerIndex

/// Lookups and attributes.
extension LazyFileSystem {
    private static let contentName = StaticString("content")

    /// Returns the attributes of `node`, as stat(2) reports them.
    public func status(_ node: NodeID) throws(LazyFileSystemError) -> NodeStatus {
        guard node.slot == 0 else { return try chain(of: node).status(node.nid) }
        switch node {
        case .root:
            let chains = table.withLock { $0.count }
            return NodeStatus(id: .root, mode: 0o040700, linkCount: UInt32(clamping: 3 + chains), size: 0)
        case .content:
            return NodeStatus(id: .content, mode: 0o040500, linkCount: 2, size: 0)
        default:
            guard let entry = table.withLock({ $0.content.entry(node.nid) }) else { throw .stale }
            return contentStatus(entry)
        }
    }

    func contentStatus(_ entry: ContentDirectory.Entry) -> NodeStatus {
        NodeStatus(
            id: NodeID(rawValue: entry.nid), mode: 0o100400, linkCount: 1,
            size: entry.layer.content.chunks.contentSize)
    }

    /// Looks up `name` in `directory`.
    ///
    /// The kernel also looks up `.` and `..` when it turns a file handle back into a path, for overlayfs or
    /// open_by_handle_at(2). If `name` is `.`, `directory` may be any type of node.
    public func lookup(
        _ directory: NodeID, _ name: UnsafeRawBufferPointer
    ) throws(LazyFileSystemError) -> LookupResult {
        if name.elementsEqual(".".utf8) { return .found(try status(directory)) }
        guard directory.slot == 0 else {
            return try lookup(in: try chain(of: directory), directory: directory.nid, name: name)
        }
        if name.elementsEqual("..".utf8) { return .found(try status(.root)) }
        switch directory {
        case .root:
            let isContent = Self.contentName.withUTF8Buffer { name.elementsEqual($0) }
            if isContent { return .found(try status(.content)) }
            guard let id = Digest(hex: name), let chain = table.withLock({ $0.chain(id) }) else {
                return .absent(forever: false)
            }
            return .found(try chain.status(chain.tree.rootInode))
        case .content:
            guard let digest = Digest(hex: name), let entry = table.withLock({ $0.content.entry(digest) }) else {
                return .absent(forever: false)
            }
            return .found(contentStatus(entry))
        default:
            throw .notDirectory
        }
    }

    private func lookup(
        in chain: Chain, directory: UInt64, name: UnsafeRawBufferPointer
    ) throws(LazyFileSystemError) -> LookupResult {
        if directory == chain.tree.rootInode, name.elementsEqual("..".utf8) { return .found(try status(.root)) }
        let found: UInt64?
        do {
            found = try chain.tree.lookup(directory, name)
        } catch {
            guard try chain.status(directory).isDirectory else { throw .notDirectory }
            throw chain.corrupt(error)
        }
        guard let found else { return .absent(forever: true) }
        return .found(try chain.status(found))
    }

    /// Copies the target of the symbolic link `node` into `buffer`, without a final NUL.
    ///
    /// - Returns: the length of the whole target in bytes, at most 4095. If `buffer` is smaller than the target,
    ///   `buffer` receives only the target's first bytes.
    public func readLink(
        _ node: NodeID, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LazyFileSystemError) -> Int {
        guard node.slot != 0 else { throw .notSymlink }
        let chain = try chain(of: node)
        guard try chain.status(node.nid).isSymlink else { throw .notSymlink }
        do {
            return try chain.tree.readLink(node.nid, into: buffer)
        } catch {
            throw chain.corrupt(error)
        }
    }
}
