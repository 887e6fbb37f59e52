import Base
import LayerIndex

/// The paths of a tree's regular files, by inode number. The initializer walks the tree once and records the directory
/// of each file, but not the file's name. ``path(of:)`` reads the names from the tree.
struct ImageFileNames {
    /// The maximum number of files, and the maximum number of directories, that the walk records.
    private static let maximum = 1 << 20

    private let tree: TreeImage
    private let budget: WorkBudget
    private var directories: [(parent: Int32, inode: UInt64)] = []
    private var files: [UInt64: Int32] = [:]

    /// Walks the tree of `image`. Files that the walk does not reach have no path.
    init(_ image: ImageFiles) {
        tree = image.tree
        budget = image.budget
        directories.append((0, tree.rootInode))
        // Visit each directory once. Otherwise, the walk would never end in a tree whose directories contain
        // themselves.
        var seen: Set<UInt64> = [tree.rootInode]
        var index = 0
        while index < directories.count, files.count < Self.maximum, !budget.isSpent {
            let directory = directories[index].inode
            try? tree.forEachEntry(directory) { name, child, type, _ in
                guard budget.spend() else { return false }
                if type == FileKind.directory.rawValue {
                    let isLink = name.count <= 2 && name.allSatisfy { $0 == UInt8(ascii: ".") }
                    if !isLink, directories.count < Self.maximum, seen.insert(child).inserted {
                        directories.append((Int32(index), child))
                    }
                } else if type == FileKind.regular.rawValue, files[child] == nil {
                    files[child] = Int32(index)
                }
                return files.count < Self.maximum
            }
            index += 1
        }
    }

    /// Returns the path of the file `inode`, with a leading slash.
    ///
    /// Returns `nil` if the walk did not reach the file, if the path is too long or not UTF-8, or if the work budget
    /// (``WorkBudget``) is spent.
    func path(of inode: UInt64) -> String? {
        guard var index = files[inode].map(Int.init) else { return nil }
        var (child, names, length) = (inode, [String](), 0)
        // A directory comes after its parent in the list, so the loop ends at the root.
        while let name = name(of: child, in: directories[index].inode), length <= ImagePath.longest {
            names.append(name)
            length += name.utf8.count + 1
            guard index > 0 else { return "/" + names.reversed().joined(separator: "/") }
            child = directories[index].inode
            index = Int(directories[index].parent)
        }
        return nil
    }

    private func name(of child: UInt64, in directory: UInt64) -> String? {
        var found: String?
        try? tree.forEachEntry(directory) { name, inode, _, _ in
            guard budget.spend() else { return false }
            guard inode == child else { return true }
            found = String(validating: name, as: UTF8.self)
            if found == "." || found == ".." { found = nil }
            return found == nil
        }
        return found
    }
}
