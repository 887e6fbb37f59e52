import Base
import LayerIndex

/// A node of a slow and simple tree that checks the real one. Each node is an object, with its children in a
/// dictionary.
final class ReferenceNode {
    var kind: FileKind
    var attributes = NodeAttributes()
    var xattrs: [[UInt8]: [UInt8]] = [:]
    var target: [UInt8] = []
    var pieces: [ContentPiece] = []
    var children: [[UInt8]: ReferenceNode] = [:]
    /// The target path of a hard link that precedes its target; `nil` for any other node.
    var hardLink: [[UInt8]]?
    /// True if the node hides lower layers.
    var hidesLower = false
    var isWhiteout = false
    /// True for a directory without an entry of its own.
    var isImplied = false
    /// True for a directory with an entry after it was implied.
    var inherits = false
    /// The number of the layer that contains the file's content.
    var layer = 0

    init(_ kind: FileKind) {
        self.kind = kind
        attributes.mode = kind.modeBits | 0o755
    }
}

/// An error that the reference found; the real tree must find one, too.
struct ReferenceError: Error {}

/// A layer as containerd would unpack it, or a chain as overlayfs would show it.
struct ReferenceTree {
    var root = ReferenceNode(.directory)
    /// The entries of directories, whose times are set again in the end.
    private var directories: [LayerEntry] = []

    init(root: ReferenceNode = ReferenceNode(.directory)) {
        self.root = root
    }

    static func clean(_ path: [UInt8]) -> [[UInt8]] {
        var names: [[UInt8]] = []
        for name in path.split(separator: UInt8(ascii: "/")).map(Array.init) {
            if name == Array(".".utf8) { continue }
            if name == Array("..".utf8) { _ = names.popLast() } else { names.append(name) }
        }
        return names
    }

    mutating func add(_ entry: LayerEntry) throws {
        var names = Self.clean(entry.path)
        guard let name = names.popLast() else { return }
        let isOpaque = name == Array(".wh..wh..opq".utf8)
        let parent = try directory(names)
        if entry.kind == .directory { directories.append(entry) }
        if isOpaque {
            parent.hidesLower = true
        } else if name.starts(with: ".wh.".utf8) {
            let whiteout = ReferenceNode(.character)
            whiteout.attributes.mode = FileKind.character.modeBits
            whiteout.isWhiteout = true
            parent.children[Array(name.dropFirst(4))] = whiteout
        } else {
            if let old = parent.children[name], old.kind == .directory, old.hardLink == nil, entry.kind == .directory {
                fill(old, entry)
                return
            }
            let node = ReferenceNode(entry.kind.fileKind ?? .regular)
            parent.children[name] = node
            guard entry.kind == .hardlink else { return fill(node, entry) }
            node.hardLink = entry.linkTarget.split(separator: UInt8(ascii: "/")).map(Array.init)
                .filter { $0 != Array(".".utf8) }
            if let target = try find(node.hardLink ?? []), target !== node, target.kind != .directory,
                target.hardLink == nil, !target.isWhiteout
            {
                parent.children[name] = target
                target.xattrs["security.capability".utf8.map { $0 }] = nil
                setAttributes(target, entry)
            }
        }
    }

    /// Returns a path without symbolic links: as text, until no component is a link.
    private func resolve(_ names: [[UInt8]]) throws -> [[UInt8]] {
        var path = names
        var links = 0
        var before = -1
        while links != before {
            before = links
            var current: [[UInt8]] = []
            for name in path {
                if name == Array("..".utf8) {
                    _ = current.popLast()
                    continue
                }
                guard name.count <= 255 else { throw ReferenceError() }
                let found = walk(current)?.children[name]
                guard let found, found.kind == .symlink, found.hardLink == nil else {
                    current.append(name)
                    continue
                }
                links += 1
                guard links <= 255 else { throw ReferenceError() }
                if found.target.first == UInt8(ascii: "/") { current = [] }
                for part in found.target.split(separator: UInt8(ascii: "/")).map(Array.init) {
                    if part == Array(".".utf8) { continue }
                    if part == Array("..".utf8) { _ = current.popLast() } else { current.append(part) }
                }
                guard current.count <= IndexLimits.standard.depth else { throw ReferenceError() }
            }
            path = current
        }
        return path
    }

    /// Returns the directory at a path without links.
    private func walk(_ names: [[UInt8]]) -> ReferenceNode? {
        var node = root
        for name in names {
            guard let next = node.children[name], next.kind == .directory, next.hardLink == nil else { return nil }
            node = next
        }
        return node
    }

    /// Returns the directory at a path, with symbolic links followed inside the root. Creates what is missing.
    private func directory(_ names: [[UInt8]]) throws -> ReferenceNode {
        var node = root
        for name in try resolve(names) {
            guard name.count <= 255 else { throw ReferenceError() }
            let next = node.children[name]
            if let next, next.kind == .directory, next.hardLink == nil {
                node = next
                continue
            }
            guard next == nil || next?.isWhiteout == true else { throw ReferenceError() }
            let made = ReferenceNode(.directory)
            made.isImplied = true
            if node.attributes.mode & 0o2000 != 0 { made.attributes.gid = node.attributes.gid }
            node.children[name] = made
            node = made
        }
        return node
    }

    private func setTime(_ node: ReferenceNode, _ entry: LayerEntry) {
        let seconds = entry.attributes.modifiedSeconds
        node.attributes.modifiedSeconds = max(0, seconds)
        node.attributes.modifiedNanoseconds = seconds < 0 ? 0 : entry.attributes.modifiedNanoseconds
    }

    private func setAttributes(_ node: ReferenceNode, _ entry: LayerEntry) {
        let mode = entry.attributes.mode & 0o7777
        node.attributes.mode = node.kind.modeBits | (node.kind == .symlink ? 0o777 : mode)
        node.attributes.uid = entry.attributes.uid
        node.attributes.gid = entry.attributes.gid
        setTime(node, entry)
        for (name, value) in entry.xattrs {
            if name.starts(with: "trusted.".utf8) { continue }
            if name.starts(with: "user.".utf8), node.kind != .regular, node.kind != .directory { continue }
            if name.starts(with: "system.".utf8), node.kind == .symlink { continue }
            node.xattrs[name] = value
        }
        Self.setMode(&node.xattrs, mode)
    }

    /// Changes the access control list of ``RandomLayer`` with the mode.
    private static func setMode(_ xattrs: inout [[UInt8]: [UInt8]], _ mode: UInt16) {
        let name = Array("system.posix_acl_access".utf8)
        guard var list = xattrs[name] else { return }
        list[6] = UInt8(mode >> 6 & 7)
        list[30] = UInt8(mode >> 3 & 7)
        list[38] = UInt8(mode & 7)
        xattrs[name] = list
    }

    private func fill(_ node: ReferenceNode, _ entry: LayerEntry) {
        if node.isImplied { node.inherits = true }
        node.isImplied = false
        node.attributes.size = node.kind == .regular ? entry.attributes.size : 0
        if node.kind == .symlink {
            node.target = entry.linkTarget
            node.attributes.size = UInt64(entry.linkTarget.count)
        }
        if node.kind == .character || node.kind == .block {
            node.attributes.deviceMajor = entry.attributes.deviceMajor
            node.attributes.deviceMinor = entry.attributes.deviceMinor
        }
        node.pieces = entry.pieces
        setAttributes(node, entry)
    }

    /// Resolves the hard links of a layer and writes its marks.
    mutating func settle() throws {
        try resolve(root)
        for entry in directories {
            let path = try? resolve(Self.clean(entry.path))
            let node = path?.reduce(root) { $0?.children[$1] }
            if let node { setTime(node, entry) }
        }
        mark(root)
    }

    private func resolve(_ directory: ReferenceNode) throws {
        for (name, child) in directory.children {
            if child.hardLink != nil {
                var node = child
                var steps = 0
                while let target = node.hardLink {
                    steps += 1
                    guard steps < 10_000, let next = try find(target) else { throw ReferenceError() }
                    node = next
                }
                guard node.kind != .directory, !node.isWhiteout else { throw ReferenceError() }
                directory.children[name] = node
            } else {
                try resolve(child)
            }
        }
    }

    private func find(_ names: [[UInt8]]) throws -> ReferenceNode? {
        guard let last = names.last, last != Array("..".utf8), last.count <= 255 else { return nil }
        return walk(try resolve(Array(names.dropLast())))?.children[last]
    }

    private func mark(_ node: ReferenceNode) {
        guard node.kind == .directory else { return }
        if node.hidesLower { node.xattrs[Array("trusted.overlay.opaque".utf8)] = Array("y".utf8) }
        let name = Array("trusted.overlay.rivulet.implied".utf8)
        if node.isImplied {
            node.xattrs[name] = Array("y".utf8)
        } else if node.inherits {
            node.xattrs[name] = Array("x".utf8)
        }
        for child in node.children.values { mark(child) }
    }

    // MARK: - Chains

    private static func withoutMarks(_ xattrs: [[UInt8]: [UInt8]]) -> [[UInt8]: [UInt8]] {
        xattrs.filter { !$0.key.starts(with: "trusted.overlay.".utf8) }
    }

    /// Unpacks a layer over others: gives its implied directories their attributes.
    ///
    /// - Parameter lower: the unpacked layers, uppermost first.
    private func unpack(over lower: [ReferenceTree]) {
        func unpack(_ node: ReferenceNode, _ path: [[UInt8]], _ group: UInt32?) {
            let own = Self.withoutMarks(node.xattrs)
            // The group that a new directory takes from this one, before an entry changes it.
            var (mode, gid) = (node.attributes.mode, node.attributes.gid)
            if node.isImplied || node.inherits {
                var below: ReferenceNode?
                search: for layer in lower {
                    guard let resolved = try? layer.resolve(path) else { break }
                    var place = layer.root
                    for name in resolved {
                        guard let next = place.children[name] else { continue search }
                        guard next.kind == .directory else { break search }
                        place = next
                    }
                    below = place
                    break
                }
                if node.isImplied, let below {
                    node.attributes = below.attributes
                } else if node.isImplied, let group {
                    node.attributes.gid = group
                }
                (mode, gid) =
                    node.isImplied
                    ? (node.attributes.mode, node.attributes.gid)
                    : (below?.attributes.mode ?? 0, below?.attributes.gid ?? 0)
                var xattrs = below.map { Self.withoutMarks($0.xattrs) } ?? [:]
                xattrs.merge(own) { $1 }
                Self.setMode(&xattrs, node.attributes.mode)
                let marks = node.xattrs.filter { $0.key.starts(with: "trusted.overlay.".utf8) }
                node.xattrs = xattrs.merging(marks) { $1 }
            }
            let passed = (node.isImplied || node.inherits) && mode & 0o2000 != 0 ? gid : nil
            for (name, child) in node.children where child.kind == .directory {
                unpack(child, path + [name], passed)
            }
        }
        for (name, child) in root.children where child.kind == .directory { unpack(child, [name], nil) }
    }

    /// Returns overlayfs's view of `layers`, bottom first. Changes the layers.
    static func merge(_ layers: [ReferenceTree]) -> ReferenceTree {
        var copies: [ObjectIdentifier: ReferenceNode] = [:]
        for (number, layer) in layers.enumerated() {
            setLayer(layer.root, number)
            layer.unpack(over: layers[..<number].reversed())
        }
        func copy(_ node: ReferenceNode) -> ReferenceNode {
            if node.kind != .directory, let done = copies[ObjectIdentifier(node)] { return done }
            let copy = ReferenceNode(node.kind)
            copy.attributes = node.attributes
            copy.xattrs = withoutMarks(node.xattrs)
            copy.target = node.target
            copy.pieces = node.pieces
            copy.layer = node.layer
            copies[ObjectIdentifier(node)] = copy
            return copy
        }
        // `stack` has the directories that merge, uppermost first.
        func merge(_ stack: [ReferenceNode]) -> ReferenceNode {
            let result = copy(stack[0])
            for name in Set(stack.flatMap { $0.children.keys }) {
                let found = stack.compactMap { $0.children[name] }
                guard !found[0].attributes.isWhiteout else { continue }
                guard found[0].kind == .directory else {
                    result.children[name] = copy(found[0])
                    continue
                }
                let all = Array(found.prefix { $0.kind == .directory })
                let hiding = all.firstIndex { $0.hidesLower } ?? all.count - 1
                result.children[name] = merge(Array(all[...hiding]))
            }
            return result
        }
        return ReferenceTree(root: merge(layers.reversed().map { $0.root }))
    }

    private static func setLayer(_ node: ReferenceNode, _ layer: Int) {
        node.layer = layer
        for child in node.children.values { setLayer(child, layer) }
    }

    /// Lists everything that a listing of the real tree shows.
    func listing() -> Listing {
        var names: [ObjectIdentifier: [[UInt8]]] = [:]
        func count(_ node: ReferenceNode, _ path: [UInt8]) {
            names[ObjectIdentifier(node), default: []].append(path)
            for (name, child) in node.children { count(child, path + [UInt8(ascii: "/")] + name) }
        }
        count(root, [])
        var files: [[UInt8]: ListedFile] = [:]
        func list(_ node: ReferenceNode, _ path: [UInt8]) {
            var file = ListedFile()
            file.attributes = node.attributes
            let all = names[ObjectIdentifier(node)] ?? []
            let subdirectories = node.children.values.count { $0.kind == .directory }
            file.attributes.linkCount = UInt32(node.kind == .directory ? 2 + subdirectories : all.count)
            file.firstName = all.min { $0.lexicographicallyPrecedes($1) } ?? []
            file.xattrs = node.xattrs
            file.target = node.target
            file.pieces = node.pieces
            file.layer = node.pieces.isEmpty ? 0 : node.layer
            files[path] = file
            for (name, child) in node.children { list(child, path + [UInt8(ascii: "/")] + name) }
        }
        list(root, [])
        return Listing(files: files)
    }
}
