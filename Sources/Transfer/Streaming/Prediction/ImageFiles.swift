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
    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    static func name(of path: String) -> Substring {
        guard let slash = path.lastIndex(of: "/") else { return path[...] }
        return path[path.index(after: slash)...]
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
    private static let maximumPath = 4096

    let tree: TreeImage
    /// By device number of the tree.
    let layers: [StoredLayer]

    /// The regular file at `path`, links followed; `nil` when there is none, or it is empty.
    func file(_ path: String) -> ImageFile? {
        guard let (inode, kind, path) = find(path), kind == .regular else { return nil }
        return file(inode, at: path)
    }

    /// The regular files at `path`, whose last name may hold one `*` (glob(7)).
    func matching(_ path: String) -> [ImageFile] {
        guard let star = path.firstIndex(of: "*") else { return file(path).map { [$0] } ?? [] }
        guard let slash = path.lastIndex(of: "/"), slash < star else { return [] }
        let (prefix, suffix) = (path[path.index(after: slash)..<star], path[path.index(after: star)...])
        return names(in: String(path[..<slash]), beginningWith: String(prefix)).compactMap { name in
            guard name.hasSuffix(suffix), name.count >= prefix.count + suffix.count else { return nil }
            return file("\(path[..<slash])/\(name)")
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
            if let name = String(validating: name, as: UTF8.self), name.hasPrefix(prefix), name != ".", name != ".." {
                names.append(name)
            }
            return names.count < limit
        }
        return names
    }

    private func find(_ path: String) -> (inode: UInt64, kind: FileKind, path: String)? {
        guard path.utf8.count <= Self.maximumPath else { return nil }
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
            let parent = directories.last?.inode ?? tree.rootInode
            var copy = name
            guard let inode = copy.withUTF8({ (try? tree.lookup(parent, UnsafeRawBufferPointer($0))) ?? nil }),
                let attributes = try? tree.attributes(inode), let kind = FileKind(mode: attributes.mode)
            else { return nil }
            switch kind {
            case .directory: directories.append((inode, name))
            case .symlink:
                links += 1
                guard links <= Self.maximumLinks, let target = target(of: inode) else { return nil }
                if target.hasPrefix("/") { directories = [] }
                rest += target.split(separator: "/").map(String.init).reversed()
                guard rest.count <= Self.maximumPath else { return nil }
            default:
                guard rest.isEmpty else { return nil }
                return (inode, kind, "/" + (directories.map(\.name) + [name]).joined(separator: "/"))
            }
        }
        return (
            directories.last?.inode ?? tree.rootInode, .directory,
            "/" + directories.map(\.name).joined(separator: "/")
        )
    }

    private func target(of link: UInt64) -> String? {
        (try? tree.withSymbolicLink(link) { String(validating: $0, as: UTF8.self) }) ?? nil
    }
}

/// The path of each regular file of a tree: made by one walk, when somebody has only a number.
struct ImageFileNames {
    private var directories: [(parent: Int, name: String)] = []
    private var files: [UInt64: (directory: Int32, name: String)] = [:]

    /// Walks `tree`. Files beyond `limit` have no path.
    init(_ tree: TreeImage, limit: Int) {
        directories.append((0, ""))
        var queue: [(inode: UInt64, index: Int)] = [(tree.rootInode, 0)]
        // A tree whose directories contain themselves would never end.
        var seen: Set<UInt64> = [tree.rootInode]
        while let (inode, index) = queue.popLast(), files.count < limit {
            try? tree.forEachEntry(inode) { name, child, type, _ in
                let isDirectory = type == FileKind.directory.rawValue
                guard isDirectory || type == FileKind.regular.rawValue else { return true }
                guard let name = String(validating: name, as: UTF8.self), name != ".", name != ".." else { return true }
                if isDirectory {
                    guard seen.insert(child).inserted, directories.count < limit else { return true }
                    queue.append((child, directories.count))
                    directories.append((index, name))
                } else if files[child] == nil {
                    files[child] = (Int32(index), name)
                }
                return true
            }
        }
    }

    /// The path of the file `inode`, with a leading slash.
    func path(of inode: UInt64) -> String? {
        guard let file = files[inode] else { return nil }
        var names = [file.name]
        var index = Int(file.directory)
        // A parent is always listed before its children, so this ends.
        while index > 0 {
            names.append(directories[index].name)
            index = directories[index].parent
        }
        return "/" + names.reversed().joined(separator: "/")
    }
}
