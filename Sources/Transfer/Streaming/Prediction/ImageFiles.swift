import Base
import ContentStore
import LayerIndex

/// A regular file of an image, found by its path.
struct ImageFile {
    let inode: UInt64
    /// From the root of the image, links resolved, with a leading slash.
    let path: String
    let layer: StoredLayer
    /// Where its bytes lie in the layer's content space; not empty.
    let range: ByteRange

    /// The directory that it lies in.
    var directory: String { ImagePath.parent(of: path) }
    var name: Substring { ImagePath.name(of: path) }

    /// The chunks that hold bytes of `part`, a range of the file; what lies behind its end is left out.
    func chunks(_ part: ByteRange) -> Range<Int> {
        guard part.offset < range.count else { return 0..<0 }
        return layer.chunks.chunks(
            overlapping: ByteRange(
                offset: range.offset + part.offset, end: range.offset + min(part.end, range.count)))
    }

    /// Whether every byte of `part` is on this node.
    func isPresent(_ part: ByteRange) -> Bool { layer.missing(in: chunks(part)) == nil }

    /// The bytes of `part`, cut at the end of the file; `nil` when they are not all here, or cannot be read.
    func bytes(_ part: ByteRange) -> [UInt8]? {
        guard part.offset < range.count, isPresent(part) else { return nil }
        let count = Int(min(part.end, range.count) - part.offset)
        return try? [UInt8](unsafeUninitializedCapacity: count) { buffer, filled throws(ContentStoreError) in
            filled = try layer.read(at: range.offset + part.offset, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }
}

/// Paths of an image: text, since what is no UTF-8 is not predicted.
enum ImagePath {
    /// As the kernel's own bound, `PATH_MAX`.
    static let longest = 4096

    static func parent(of path: String) -> String {
        guard let (directory, _) = split(path[...]), !directory.isEmpty else { return "/" }
        return String(directory)
    }

    static func name(of path: String) -> Substring {
        split(path[...])?.name ?? path[...]
    }

    /// Returns what stands before and behind the last slash; `nil` without a slash.
    static func split(_ path: Substring) -> (directory: Substring, name: Substring)? {
        // Of bytes, as in the kernel: a slash with a combining accent behind it is one `Character`.
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        // The slash lies before the end, so there is an index after it.
        return (path[..<slash], path[path.utf8.index(after: slash)...])
    }

    /// `name` in `directory`; `name` itself when it begins at the root.
    static func joined(_ directory: String, _ name: some StringProtocol) -> String {
        if name.hasPrefix("/") { return String(name) }
        return directory.hasSuffix("/") ? directory + name : directory + "/" + name
    }
}

/// The files of a chain by their paths, as a process in it would find them.
struct ImageFiles {
    /// As the kernel's own bound, `MAXSYMLINKS`.
    private static let maximumLinks = 40

    let tree: TreeImage
    /// By device number of the tree.
    let layers: [StoredLayer]
    /// Shared by everything that looks at files for one start.
    let budget = WorkBudget()

    /// The regular file at `path`, links followed; `nil` when there is none, or it is empty.
    func file(_ path: String) -> ImageFile? {
        guard let (inode, kind, path) = find(path), kind == .regular else { return nil }
        return file(inode, at: path)
    }

    /// The regular files at `path`, whose last name may hold one `*` (glob(7)).
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

    /// Whether there is a regular file at `path`, empty or not.
    func holdsFile(_ path: String) -> Bool { find(path)?.kind == .regular }

    /// The regular file with the number `inode`, which is known to be called `path`.
    func file(_ inode: UInt64, at path: String) -> ImageFile? {
        guard let content = try? tree.content(inode), layers.indices.contains(content.device) else { return nil }
        return ImageFile(inode: inode, path: path, layer: layers[content.device], range: content.range)
    }

    /// The directory at `path`, links resolved.
    func directory(_ path: String) -> String? {
        guard let (_, kind, path) = find(path), kind == .directory else { return nil }
        return path
    }

    /// The names in the directory at `path` that begin with `prefix`, in their order.
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
        // The names still to go, the next one last.
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
                // A link's target may be as long as a path, so links make paths that no process could name.
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

/// The paths of a tree's regular files by their numbers: one walk notes the directory of each, and a name is read when it is
/// asked for.
struct ImageFileNames {
    /// The bound on files and on directories.
    private static let maximum = 1 << 20

    private let tree: TreeImage
    private let budget: WorkBudget
    private var directories: [(parent: Int32, inode: UInt64)] = []
    private var files: [UInt64: Int32] = [:]

    /// Walks the tree. Files beyond the bound have no path.
    init(_ image: ImageFiles) {
        tree = image.tree
        budget = image.budget
        directories.append((0, tree.rootInode))
        // A tree whose directories contain themselves would never end.
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
    func path(of inode: UInt64) -> String? {
        guard var index = files[inode].map(Int.init) else { return nil }
        var (child, names, length) = (inode, [String](), 0)
        // A directory stands behind its parent in the list, so this ends at the root.
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
