public import Base
import ContentStore
import LayerIndex

/// Listing of directories.
extension LazyFileSystem {
    /// Lists `directory`, including `.` and `..`.
    ///
    /// - Parameters:
    ///   - cookie: the position to start at: 0 for the beginning, or the ``ListedNode/next`` of an entry of the same
    ///     directory. A cookie stays valid while the directory exists, even if entries are added or removed.
    ///   - body: receives each entry. It returns false to stop; that entry then counts as not listed.
    public func list(
        _ directory: NodeID, from cookie: UInt64, _ body: (ListedNode) -> Bool
    ) throws(LazyFileSystemError) {
        switch directory {
        case .root: listRoot(from: cookie, body)
        case .content: listContent(from: cookie, body)
        default:
            guard directory.slot != 0 else { throw .notDirectory }
            try list(directory.nid, of: try chain(of: directory), from: cookie, body)
        }
    }

    private func list(
        _ directory: UInt64, of chain: Chain, from cookie: UInt64, _ body: (ListedNode) -> Bool
    ) throws(LazyFileSystemError) {
        guard try chain.status(directory).isDirectory else { throw .notDirectory }
        var failure: LazyFileSystemError?
        do {
            try chain.tree.forEachEntry(directory, from: cookie) { name, nid, type, next in
                let isParentOfRoot = directory == chain.tree.rootInode && name.elementsEqual("..".utf8)
                guard let node = isParentOfRoot ? .root : NodeID(slot: chain.slot, nid: nid) else {
                    failure = LazyFileSystemError(.corrupt, "chain \(chain.id) has an inode number above 40 bits")
                    return false
                }
                return body(ListedNode(name: name, node: node, type: type, next: next))
            }
        } catch {
            throw chain.corrupt(error)
        }
        if let failure { throw failure }
    }

    /// Lists the root. The cookie is 1 after the entry `.`, 2 after `..`, 3 after `content`, and 3 plus the slot number
    /// after a chain.
    private func listRoot(from cookie: UInt64, _ body: (ListedNode) -> Bool) {
        guard listDots(.root, from: cookie, body) else { return }
        if cookie < 3 {
            guard emit("content", node: .content, type: directoryType, next: 3, body) else { return }
        }
        var slot = UInt32(clamping: cookie > 3 ? cookie - 3 : 0)
        guard slot <= NodeID.maximumSlot else { return }
        while let chain = table.withLock({ $0.chain(afterSlot: slot) }) {
            guard emit(chain.id.hex, node: chain.root, type: directoryType, next: 3 + UInt64(chain.slot), body) else {
                return
            }
            slot = chain.slot
        }
    }

    /// Lists `content`. The cookie is 1 after the entry `.`, 2 after `..`, and 1 plus the inode number after a file.
    private func listContent(from cookie: UInt64, _ body: (ListedNode) -> Bool) {
        guard listDots(.content, from: cookie, body) else { return }
        var nid = cookie
        while let entry = table.withLock({ $0.content.entry(from: nid) }) {
            nid = entry.nid + 1
            let node = NodeID(rawValue: entry.nid)
            guard emit(entry.layer.content.key.id.hex, node: node, type: regularType, next: nid, body) else { return }
        }
    }

    private var directoryType: UInt8 { 4 }
    private var regularType: UInt8 { 8 }

    private func listDots(_ directory: NodeID, from cookie: UInt64, _ body: (ListedNode) -> Bool) -> Bool {
        if cookie < 1 {
            guard emit(".", node: directory, type: directoryType, next: 1, body) else { return false }
        }
        return cookie >= 2 || emit("..", node: .root, type: directoryType, next: 2, body)
    }

    private func emit(
        _ name: String, node: NodeID, type: UInt8, next: UInt64, _ body: (ListedNode) -> Bool
    ) -> Bool {
        var name = name
        return name.withUTF8 {
            body(ListedNode(name: UnsafeRawBufferPointer($0), node: node, type: type, next: next))
        }
    }
}
