public import Base

extension TreeImage {
    /// Reads the whole tree and verifies properties that no single call can check:
    ///
    /// - Every directory except the root has exactly one entry that refers to it.
    /// - Names ascend, and `.` and `..` are present and correct.
    /// - Entries and inodes agree on the kind of file.
    /// - Link counts are correct. The check skips files other than directories if their link count is 1.
    /// - Every inode's attributes, extended attributes, content range and link target can be read.
    ///
    /// Use this for untrusted images and for fuzzing. `limits` bound the work and memory of the call.
    public func verify(limits: IndexLimits = .standard) throws(LayerIndexError) {
        var verifier = TreeVerifier(tree: self, limits: limits)
        try verifier.run()
    }
}

/// The walk of ``TreeImage/verify(limits:)``.
private struct TreeVerifier {
    struct Directory {
        var inode: UInt64
        var parent: UInt64
        var depth: Int
    }

    let tree: TreeImage
    let limits: IndexLimits
    var pending: [Directory] = []
    var seen: Set<UInt64> = []
    /// The files with a link count of 1 that an entry refers to: one bit for each inode number.
    var single: [UInt64]
    /// The number of entries found so far, by inode number. Directories are left out, and so are other files with a
    /// link count of 1.
    var names: [UInt64: UInt32] = [:]
    var entryCount = 0

    init(tree: TreeImage, limits: IndexLimits) {
        self.tree = tree
        self.limits = limits
        single = [UInt64](repeating: 0, count: tree.byteCount / EROFS.nodeUnit / 64 + 1)
    }

    mutating func run() throws(LayerIndexError) {
        pending.append(Directory(inode: tree.rootInode, parent: tree.rootInode, depth: 0))
        seen.insert(tree.rootInode)
        try readXattrs(tree.rootInode)
        while let directory = pending.popLast() {
            try check(directory)
        }
        for (inode, count) in names where try tree.attributes(inode).linkCount != count {
            throw TreeImage.corrupt("a wrong link count")
        }
    }

    private mutating func check(_ directory: Directory) throws(LayerIndexError) {
        var children: [(inode: UInt64, type: UInt8)] = []
        var last: UnsafeRawBufferPointer?
        var isSorted = true
        var dots = 0
        let room = limits.entryCount - entryCount
        try tree.forEachEntry(directory.inode) { name, inode, type, _ in
            if let last, Bytes.compare(last, name) >= 0 { isSorted = false }
            last = name
            if name.elementsEqual([0x2E]) {
                dots += inode == directory.inode ? 1 : 3
            } else if name.elementsEqual([0x2E, 0x2E]) {
                dots += inode == directory.parent ? 1 : 3
            } else if name.contains(0) || name.contains(0x2F) {
                isSorted = false
            } else {
                children.append((inode, type))
            }
            return isSorted && children.count <= room
        }
        guard children.count <= room else { throw LayerIndexError(.limit, "more than \(limits.entryCount) files") }
        guard isSorted, dots == 2 else { throw TreeImage.corrupt("an unsorted directory") }
        entryCount += children.count
        var subdirectories: UInt32 = 0
        for child in children {
            let attributes = try tree.attributes(child.inode)
            guard let kind = attributes.kind, kind.rawValue == child.type else {
                throw TreeImage.corrupt("an entry whose inode has another kind")
            }
            switch kind {
            case .directory:
                guard seen.insert(child.inode).inserted else { throw TreeImage.corrupt("a directory with two parents") }
                guard directory.depth < limits.depth else {
                    throw LayerIndexError(.limit, "directories more than \(limits.depth) deep")
                }
                pending.append(
                    Directory(inode: child.inode, parent: directory.inode, depth: directory.depth + 1))
                subdirectories += 1
            case .regular: _ = try tree.content(child.inode)
            case .symlink: try tree.withSymbolicLink(child.inode) { _ in }
            default: break
            }
            if kind != .directory {
                if attributes.linkCount == 1 {
                    // An inode whose attributes can be read has a number in this range.
                    let (word, bit) = (Int(child.inode / 64), UInt64(1) << (child.inode % 64))
                    guard single[word] & bit == 0 else { throw TreeImage.corrupt("a wrong link count") }
                    single[word] |= bit
                } else {
                    names[child.inode, default: 0] += 1
                }
            }
            try readXattrs(child.inode)
        }
        guard try tree.attributes(directory.inode).linkCount == 2 + subdirectories else {
            throw TreeImage.corrupt("a wrong link count")
        }
    }

    private func readXattrs(_ inode: UInt64) throws(LayerIndexError) {
        if !tree.hasExtendedAttributes, try tree.inode(inode).xattrSize > 0 {
            throw TreeImage.corrupt("extended attributes in a tree that is marked as one without")
        }
        try tree.forEachExtendedAttribute(inode) { _, _ in true }
    }
}
