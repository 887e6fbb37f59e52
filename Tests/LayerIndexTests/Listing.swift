import Base
import LayerIndex
import Linux
import SystemPackage
import Testing

/// The facts about one name in a tree.
struct ListedFile: Equatable {
    /// The attributes, with 0 as the size of a directory, because each file system computes its own.
    var attributes = NodeAttributes()
    /// The first name of the file's inode, which tells hard links from copies.
    var firstName: [UInt8] = []
    var xattrs: [[UInt8]: [UInt8]] = [:]
    var target: [UInt8] = []
    /// The pieces of the file, which only the reference knows.
    var pieces: [ContentPiece] = []
    /// The number of the layer with the file's bytes, which only the reference and the image know.
    var layer = 0
    /// The file's range in the content space, which only the image knows.
    var content = ByteRange(offset: 0, end: 0)
}

/// All files of a tree by path. The root's path is empty.
struct Listing {
    var files: [[UInt8]: ListedFile]

    /// Creates a listing and sets each `firstName` from the inode numbers.
    init(files: [[UInt8]: ListedFile], inodes: [[UInt8]: UInt64]) {
        var first: [UInt64: [UInt8]] = [:]
        for (path, inode) in inodes {
            if let other = first[inode], !path.lexicographicallyPrecedes(other) { continue }
            first[inode] = path
        }
        self.files = files
        for (path, inode) in inodes { self.files[path]?.firstName = first[inode] ?? [] }
    }

    init(files: [[UInt8]: ListedFile]) {
        self.files = files
    }

    /// Lists `tree`, and checks that lookups find the listed entries.
    init(_ tree: TreeImage) throws {
        var files: [[UInt8]: ListedFile] = [:]
        var inodes: [[UInt8]: UInt64] = [:]
        func walk(_ inode: UInt64, _ path: [UInt8], parent: UInt64) throws {
            var file = ListedFile()
            file.attributes = try tree.attributes(inode)
            try tree.forEachExtendedAttribute(inode) { name, value in
                file.xattrs[Array(name)] = Array(value)
                return true
            }
            inodes[path] = inode
            switch try #require(file.attributes.kind) {
            case .symlink: file.target = try tree.withSymbolicLink(inode) { Array($0) }
            case .regular:
                if let content = try tree.content(inode) {
                    file.layer = content.device
                    file.content = content.range
                }
            case .directory:
                file.attributes.size = 0
                var children: [(name: [UInt8], inode: UInt64)] = []
                var seen: [[UInt8]] = []
                var types: [UInt8] = []
                try tree.forEachEntry(inode) { name, child, type, _ in
                    seen.append(Array(name))
                    types.append(type)
                    children.append((Array(name), child))
                    return true
                }
                #expect(seen == seen.sorted { $0.lexicographicallyPrecedes($1) })
                for (child, type) in zip(children, types) {
                    let found = try child.name.withUnsafeBytes { try tree.lookup(inode, $0) }
                    #expect(found == child.inode)
                    #expect(try tree.attributes(child.inode).kind?.rawValue == type)
                    switch String(decoding: child.name, as: UTF8.self) {
                    case ".": #expect(child.inode == inode)
                    case "..": #expect(child.inode == parent)
                    default: try walk(child.inode, path + [UInt8(ascii: "/")] + child.name, parent: inode)
                    }
                }
                #expect(seen.count { $0 == Array(".".utf8) || $0 == Array("..".utf8) } == 2)
            default: break
            }
            files[path] = file
        }
        try walk(tree.rootInode, [], parent: tree.rootInode)
        self.init(files: files, inodes: inodes)
    }

    /// Lists everything that the kernel shows below `root`.
    init(directory root: String) throws {
        var files: [[UInt8]: ListedFile] = [:]
        var inodes: [[UInt8]: UInt64] = [:]
        func walk(_ path: [UInt8]) throws {
            let full = Array(root.utf8) + path
            let status = try Sys.lstat(full)
            var file = ListedFile()
            file.attributes = NodeAttributes(
                mode: UInt16(truncatingIfNeeded: status.mode), uid: status.uid, gid: status.gid,
                modifiedSeconds: status.modifiedSeconds, modifiedNanoseconds: status.modifiedNanoseconds,
                linkCount: UInt32(truncatingIfNeeded: status.linkCount), size: status.size,
                deviceMajor: status.deviceMajor, deviceMinor: status.deviceMinor)
            for name in try Sys.extendedAttributeNames(full) {
                file.xattrs[name] = try Sys.extendedAttribute(full, name)
            }
            inodes[path] = status.inode
            if status.kind == .symlink { file.target = try Sys.readLink(full) }
            if status.kind == .directory {
                file.attributes.size = 0
                for entry in try Sys.list(full) {
                    try walk(path + [UInt8(ascii: "/")] + entry.name)
                }
            }
            files[path] = file
        }
        try walk([])
        self.init(files: files, inodes: inodes)
    }

    /// Records an issue for each difference, except in facts that only one of the listings knows.
    func expectSame(as other: Listing, _ comment: Comment, layers: Bool = false) {
        for path in Set(files.keys).union(other.files.keys) {
            guard var left = files[path], var right = other.files[path] else {
                Issue.record("\(text(path)) is on one side only, \(files[path] == nil ? "right" : "left"): \(comment)")
                continue
            }
            (left.pieces, right.pieces) = ([], [])
            (left.content, right.content) = (ByteRange(offset: 0, end: 0), ByteRange(offset: 0, end: 0))
            if !layers { (left.layer, right.layer) = (0, 0) }
            #expect(left == right, "\(text(path)): \(comment)")
        }
    }

    private func text(_ path: [UInt8]) -> String { String(decoding: path.prefix(120), as: UTF8.self) }
}
