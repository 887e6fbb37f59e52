import Base
import LayerIndex

/// The files of an image, looked up by path as a process in the container would.
public struct ImageFiles {
    /// The maximum number of symbolic links that one lookup follows, as in the kernel (`MAXSYMLINKS`).
    private static let maximumLinks = 40

    let tree: TreeImage
    let layerCount: Int
    /// The work budget of one container start. All code that looks at the image's files for this start shares this
    /// budget.
    let budget = WorkBudget()

    /// - Parameters:
    ///   - tree: the image's merged tree. The tree places the bytes of each file on a device. The number of the device
    ///     is the position of the file's layer.
    ///   - layerCount: the number of layers. Lookups find only files in layers whose position is less than this number.
    init(tree: TreeImage, layerCount: Int) {
        self.tree = tree
        self.layerCount = layerCount
    }

    /// Returns the regular file at `path`, following links; `nil` if there is no such file, or if the file is empty.
    public func file(_ path: String) -> ImageFile? {
        guard let (inode, kind, path) = find(path), kind == .regular else { return nil }
        return file(inode, at: path)
    }

    /// Returns the regular files that match `path`, whose last component may contain one `*` (glob(7)). Empty files are
    /// left out. With a `*`, at most 256 files are returned.
    func matching(_ path: String) -> [ImageFile] {
        guard let (directory, pattern) = ImagePath.split(path[...]) else { return [] }
        let parts = pattern.split(separator: "*", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let prefix = parts.first, let suffix = parts.last else {
            return file(path).map { [$0] } ?? []
        }
        return names(in: String(directory), beginningWith: String(prefix)).compactMap { name in
            guard name.hasSuffix(suffix), name.utf8.count >= prefix.utf8.count + suffix.utf8.count else { return nil }
            return file("\(directory)/\(name)")
        }
    }

    /// Returns true if there is a regular file at `path`, even an empty one.
    func holdsFile(_ path: String) -> Bool { find(path)?.kind == .regular }

    /// Returns the regular file with the inode number `inode` and the path `path`. Returns `nil` if the file is empty,
    /// or if the position of its layer is not less than ``layerCount``.
    func file(_ inode: UInt64, at path: String) -> ImageFile? {
        guard let content = try? tree.content(inode), content.device < layerCount else { return nil }
        return ImageFile(inode: inode, path: path, layer: content.device, range: content.range)
    }

    /// Returns the path of the directory at `path`, with links resolved; `nil` if there is no such directory.
    func directory(_ path: String) -> String? {
        guard let (_, kind, path) = find(path), kind == .directory else { return nil }
        return path
    }

    /// Returns at most `limit` names that begin with `prefix` in the directory at `path`, in the order of the
    /// directory's entries.
    func names(in path: String, beginningWith prefix: String, limit: Int = 256) -> [String] {
        guard let (inode, kind, _) = find(path), kind == .directory else { return [] }
        var names: [String] = []
        try? tree.forEachEntry(inode) { name, _, _, _ in
            guard budget.spend() else { return false }
            if let name = String(validating: name, as: UTF8.self), name.hasPrefix(prefix), name != ".", name != ".." {
                names.append(name)
            }
            return names.count < limit
        }
        return names
    }

    private func find(_ path: String) -> (inode: UInt64, kind: FileKind, path: String)? {
        guard path.utf8.count <= ImagePath.longest else { return nil }
        // The components still to be looked up, the next one last.
        var rest = Array(path.split(separator: "/").map(String.init).reversed())
        var directories: [(inode: UInt64, name: String)] = []
        var links = 0
        while let name = rest.popLast() {
            if name == "." { continue }
            if name == ".." {
                _ = directories.popLast()
                continue
            }
            guard budget.spend() else { return nil }
            let parent = directories.last?.inode ?? tree.rootInode
            var copy = name
            guard let inode = copy.withUTF8({ (try? tree.lookup(parent, UnsafeRawBufferPointer($0))) ?? nil }),
                let attributes = try? tree.attributes(inode), let kind = FileKind(mode: attributes.mode)
            else { return nil }
            switch kind {
            case .directory:
                // The target of each link may be as long as a path, so links can build paths that no process could
                // name.
                guard directories.count < ImagePath.longest / 2 else { return nil }
                directories.append((inode, name))
            case .symlink:
                links += 1
                guard links <= Self.maximumLinks, let target = target(of: inode) else { return nil }
                if target.hasPrefix("/") { directories = [] }
                rest += target.split(separator: "/").map(String.init).reversed()
                guard rest.count <= ImagePath.longest else { return nil }
            default:
                guard rest.isEmpty else { return nil }
                guard let path = Self.path(directories.map(\.name) + [name]) else { return nil }
                return (inode, kind, path)
            }
        }
        guard let path = Self.path(directories.map(\.name)) else { return nil }
        return (directories.last?.inode ?? tree.rootInode, .directory, path)
    }

    private static func path(_ names: [String]) -> String? {
        guard names.reduce(0, { $0 + $1.utf8.count + 1 }) <= ImagePath.longest else { return nil }
        return "/" + names.joined(separator: "/")
    }

    private func target(of link: UInt64) -> String? {
        (try? tree.withSymbolicLink(link) { String(validating: $0, as: UTF8.self) }) ?? nil
    }
}
