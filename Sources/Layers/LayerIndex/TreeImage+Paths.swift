public import Base

/// A view of a layer's tree, in which ``RootPath`` resolves paths.
struct TreeView: PathTree {
    let tree: TreeImage

    var rootNode: UInt64 { tree.rootInode }

    func find(_ name: [UInt8], in parent: UInt64) throws(LayerIndexError) -> PathEntry<UInt64> {
        guard let found = try lookup(name, in: parent) else { return .absent }
        switch try tree.attributes(found).kind {
        case .directory: return .directory(found)
        case .symlink: return .symbolicLink(try tree.withSymbolicLink(found) { Array($0) })
        default: return .other
        }
    }

    fileprivate func lookup(_ name: [UInt8], in parent: UInt64) throws(LayerIndexError) -> UInt64? {
        try name.withUnsafeBufferPointer { (name) throws(LayerIndexError) in
            try tree.lookup(parent, UnsafeRawBufferPointer(name))
        }
    }
}

/// A finder of the inodes that an archive's entries became in a tree.
public struct EntryFinder {
    private let view: TreeView
    private let limits: IndexLimits
    private var path: EntryPath
    /// The ``RootPath/work`` that lookups of paths through symbolic links may still use.
    private var budget: UInt64 = RootPath.maximumTotalWork

    public init(_ tree: TreeImage, limits: IndexLimits = .standard) {
        view = TreeView(tree: tree)
        self.limits = limits.clamped()
        path = EntryPath(limits: self.limits)
    }

    /// Returns the inode at the path of an archive's entry; `nil` if there is none. Follows symbolic links inside the
    /// root, except one at the end of the path.
    ///
    /// Throws if the path is malformed, if the tree is corrupt, or if too many paths lead through symbolic links.
    public mutating func inode(of entry: [UInt8]) throws(LayerIndexError) -> UInt64? {
        try entry.withUnsafeBufferPointer { (bytes) throws(LayerIndexError) in
            try path.clean(UnsafeRawBufferPointer(bytes))
        }
        var names = path.names.map { Array(entry[$0]) }
        guard let last = names.popLast() else { return view.rootNode }
        if let parent = try directory(names) { return try view.lookup(last, in: parent) }
        let resolved = try RootPath(names, in: view, limits: limits, budget: &budget)
        guard let parent = try directory(resolved.names) else { return nil }
        return try view.lookup(last, in: parent)
    }

    /// Returns the directory at a path without symbolic links; `nil` if there is none.
    private func directory(_ names: [[UInt8]]) throws(LayerIndexError) -> UInt64? {
        var node = view.rootNode
        for name in names {
            guard case .directory(let next) = try view.find(name, in: node) else { return nil }
            node = next
        }
        return node
    }
}
