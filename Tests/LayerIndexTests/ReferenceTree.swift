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
    /// The target path of an unresolved hard link; `nil` for any other node.
    var hardLink: [[UInt8]]?
    /// True if the node hides lower layers.
    var hidesLower = false
    var isWhiteout = false
    /// True for a directory without an entry of its own.
    var isImplied = false
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
        if names.dropLast().contains(where: { $0.starts(with: ".wh.".utf8) }) { return }
        guard let name = names.popLast() else { return }
        let isOpaque = name == Array(".wh..wh..opq".utf8)
        if name.starts(with: ".wh..wh.".utf8), !isOpaque { return }
        guard let parent = try directory(names, creates: true) else { return }
        if isOpaque {
            parent.hidesLower = true
        } else if name.starts(with: ".wh.".utf8) {
            let hidden = Array(name.dropFirst(4))
            if let real = parent.children[hidden] {
                real.hidesLower = true
            } else {
                let whiteout = ReferenceNode(.character)
                whiteout.attributes.mode = FileKind.character.modeBits
                whiteout.isWhiteout = true
                parent.children[hidden] = whiteout
            }
        } else {
            let old = parent.children[name]
            if let old, old.kind == .directory, old.hardLink == nil, entry.kind == .directory {
                fill(old, entry)
                return
            }
            let node = ReferenceNode(entry.kind.fileKind ?? .regular)
            if let old { node.hidesLower = old.hidesLower || old.kind != .directory || old.hardLink != nil }
            fill(node, entry)
            parent.children[name] = node
        }
    }

    /// Returns the directory at a path, with symbolic links followed inside the root; `nil` if it is missing.
    private func directory(_ names: [[UInt8]], creates: Bool) throws -> ReferenceNode? {
        var stack = [root]
        var todo = names
        var links = 0
        while !todo.isEmpty {
            let name = todo.removeFirst()
            if name == Array(".".utf8) { continue }
            if name == Array("..".utf8) {
                if stack.count > 1 { stack.removeLast() }
                continue
            }
            let parent = stack[stack.count - 1]
            let next = parent.children[name]
            if let next, next.kind == .directory, next.hardLink == nil {
                stack.append(next)
            } else if let next, next.kind == .symlink, next.hardLink == nil {
                links += 1
                guard links <= 255 else { throw ReferenceError() }
                if next.target.first == UInt8(ascii: "/") { stack = [root] }
                todo = next.target.split(separator: UInt8(ascii: "/")).map(Array.init) + todo
            } else {
                guard name.count <= 255 else { throw ReferenceError() }
                guard creates else { return nil }
                guard next == nil || next?.isWhiteout == true else { throw ReferenceError() }
                let made = ReferenceNode(.directory)
                made.isImplied = true
                made.hidesLower = next != nil
                parent.children[name] = made
                stack.append(made)
            }
        }
        return stack[stack.count - 1]
    }

    private func fill(_ node: ReferenceNode, _ entry: LayerEntry) {
        if entry.kind == .hardlink {
            node.hardLink = Self.clean(entry.linkTarget)
            return
        }
        node.isImplied = false
        node.attributes = entry.attributes
        node.attributes.mode = node.kind.modeBits | (node.kind == .symlink ? 0o777 : entry.attributes.mode & 0o7777)
        node.attributes.size = node.kind == .regular ? entry.attributes.size : 0
        if node.kind == .symlink {
            node.target = entry.linkTarget
            node.attributes.size = UInt64(entry.linkTarget.count)
        }
        if node.kind != .character, node.kind != .block {
            node.attributes.deviceMajor = 0
            node.attributes.deviceMinor = 0
        }
        node.pieces = entry.pieces
        for (name, value) in entry.xattrs {
            if name == Array("trusted.overlay.opaque".utf8), value == Array("y".utf8) { node.hidesLower = true }
            if name.starts(with: "trusted.overlay.".utf8) { continue }
            node.xattrs[name] = value
        }
    }

    /// Resolves the hard links of a layer and writes its opaque and implied marks.
    mutating func settle() throws {
        try resolve(root)
        markOpaque(root)
    }

    private func resolve(_ directory: ReferenceNode) throws {
        for (name, child) in directory.children {
            if child.hardLink != nil {
                var node = child
                var steps = 0
                while let target = node.hardLink {
                    steps += 1
                    guard steps < 10_000, let next = find(target) else { throw ReferenceError() }
                    node = next
                }
                guard node.kind != .directory, !node.isWhiteout else { throw ReferenceError() }
                directory.children[name] = node
            } else {
                try resolve(child)
            }
        }
    }

    private func find(_ names: [[UInt8]]) -> ReferenceNode? {
        guard let last = names.last else { return root }
        return (try? directory(names.dropLast(), creates: false))?.children[last]
    }

    private func markOpaque(_ node: ReferenceNode) {
        guard node.kind == .directory else { return }
        if node.hidesLower { node.xattrs[Array("trusted.overlay.opaque".utf8)] = Array("y".utf8) }
        if node.isImplied { node.xattrs[Array("trusted.overlay.rivulet.implied".utf8)] = Array("y".utf8) }
        for child in node.children.values { markOpaque(child) }
    }

    /// Returns overlayfs's view of `layers`, bottom first.
    static func merge(_ layers: [ReferenceTree]) -> ReferenceTree {
        var copies: [ObjectIdentifier: ReferenceNode] = [:]
        for (number, layer) in layers.enumerated() { setLayer(layer.root, number) }
        func copy(_ node: ReferenceNode) -> ReferenceNode {
            if node.kind != .directory, let done = copies[ObjectIdentifier(node)] { return done }
            let copy = ReferenceNode(node.kind)
            copy.attributes = node.attributes
            copy.xattrs = node.xattrs.filter { !$0.key.starts(with: "trusted.overlay.".utf8) }
            copy.target = node.target
            copy.pieces = node.pieces
            copy.layer = node.layer
            copies[ObjectIdentifier(node)] = copy
            return copy
        }
        // `stack` has the directories that merge, and `all` those that they hide, too; uppermost first.
        func merge(_ stack: [ReferenceNode], all: [ReferenceNode]) -> ReferenceNode {
            let result = copy(stack[0])
            if stack[0].isImplied, let own = all.first(where: { !$0.isImplied }) {
                result.attributes = own.attributes
                result.xattrs = own.xattrs.filter { !$0.key.starts(with: "trusted.overlay.".utf8) }
            }
            for name in Set(stack.flatMap { $0.children.keys }) {
                let found = stack.compactMap { $0.children[name] }
                guard !found[0].attributes.isWhiteout else { continue }
                guard found[0].kind == .directory else {
                    result.children[name] = copy(found[0])
                    continue
                }
                let all = Array(found.prefix { $0.kind == .directory })
                let hiding = all.firstIndex { $0.hidesLower } ?? all.count - 1
                result.children[name] = merge(Array(all[...hiding]), all: all)
            }
            return result
        }
        var roots: [ReferenceNode] = []
        for layer in layers.reversed() {
            roots.append(layer.root)
            if layer.root.hidesLower { break }
        }
        return ReferenceTree(root: merge(roots, all: roots))
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
