public import Base

extension TreeImage {
    /// Reads the whole tree and verifies properties that no single call can check:
    ///
    /// - Every directory except the root has exactly one entry that refers to it.
    /// - Names ascend, and `.` and `..` are present and correct.
    /// - Entries and inodes agree on the kind of file.
    /// - Link counts are correct. The check skips files other than directories if their link count is 1.
    /// - Every inode's attributes, extended attributes, content range and link target can be read.
    /// - Inodes do not share their entries, targets and extended attributes: together, these fit into the image.
    ///
    /// Use this for untrusted images and for fuzzing. `limits` bound the work and memory of the call.
    public func verify(limits: IndexLimits = .standard, by deadline: WorkDeadline = .never) throws(LayerIndexError) {
        var verifier = TreeVerifier(tree: self, limits: limits, deadline: deadline)
        try verifier.run()
    }

    /// Verifies the image that consists of `bytes`, without a copy of them. See ``verify(limits:by:)``.
    public static func verify(
        _ bytes: [UInt8], limits: IndexLimits = .standard, by deadline: WorkDeadline = .never
    ) throws(LayerIndexError) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(LayerIndexError) in
            let image = try TreeImage(IndexBytes(borrowing: UnsafeRawBufferPointer(bytes)))
            try image.verify(limits: limits, by: deadline)
        }
    }

    /// Returns the number of entries in all directories, without `.` and `..`.
    func entryCount(limits: IndexLimits, _ meter: inout WorkMeter) throws(LayerIndexError) -> Int {
        // A hostile directory may contain itself. Each entry counts, so the limit ends the walk.
        var count = 0
        var pending = [rootInode]
        while let directory = pending.popLast() {
            let before = count
            try forEachEntry(directory) { name, inode, type, _ in
                if name.elementsEqual([0x2E]) || name.elementsEqual([0x2E, 0x2E]) { return true }
                count += 1
                if type == FileKind.directory.rawValue { pending.append(inode) }
                return count <= limits.entryCount
            }
            guard count <= limits.entryCount else {
                throw LayerIndexError(.limit, "more than \(limits.entryCount) files")
            }
            try meter.count(1 + count - before)
        }
        return count
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
    /// The total size in bytes of the entries, targets and extended attributes of all inodes so far.
    var used: UInt64 = 0
    var meter: WorkMeter

    init(tree: TreeImage, limits: IndexLimits, deadline: WorkDeadline) {
        meter = WorkMeter(deadline)
        self.tree = tree
        self.limits = limits
        single = [UInt64](repeating: 0, count: tree.byteCount / EROFS.nodeUnit / 64 + 1)
    }

    mutating func run() throws(LayerIndexError) {
        pending.append(Directory(inode: tree.rootInode, parent: tree.rootInode, depth: 0))
        seen.insert(tree.rootInode)
        try readData(tree.rootInode)
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
        try meter.check()
        for child in children {
            try meter.count()
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
            var isFirst = true
            if kind != .directory {
                if attributes.linkCount == 1 {
                    // An inode whose attributes can be read has a number in this range.
                    let (word, bit) = (Int(child.inode / 64), UInt64(1) << (child.inode % 64))
                    guard single[word] & bit == 0 else { throw TreeImage.corrupt("a wrong link count") }
                    single[word] |= bit
                } else {
                    let count = names[child.inode, default: 0]
                    isFirst = count == 0
                    names[child.inode] = count + 1
                }
            }
            if isFirst { try readData(child.inode) }
        }
        guard try tree.attributes(directory.inode).linkCount == 2 + subdirectories else {
            throw TreeImage.corrupt("a wrong link count")
        }
    }

    /// Reads the extended attributes of an inode, and counts the data that belongs to the inode alone. Call this once
    /// for each inode.
    private mutating func readData(_ number: UInt64) throws(LayerIndexError) {
        let inode = try tree.inode(number)
        if !tree.hasExtendedAttributes, inode.xattrSize > 0 {
            throw TreeImage.corrupt("extended attributes in a tree that is marked as one without")
        }
        // If all inodes had the same large list, reading the lists would take quadratic time.
        let size = inode.kind == .directory || inode.kind == .symlink ? inode.size : 0
        guard size <= UInt64(tree.byteCount) else { throw TreeImage.corrupt("an inode larger than the image") }
        used += size + UInt64(inode.xattrSize)
        guard used <= UInt64(tree.byteCount) else { throw TreeImage.corrupt("inodes that share their data") }
        try meter.count(inode.xattrSize / 64)
        try tree.forEachExtendedAttribute(number) { _, _ in true }
    }
}
