public import Base

/// A comparison of a layer's tree with a tree that was built from the layer's archive.
///
/// The trees may come from different descriptions of the layer, so their bytes may differ although their files are the
/// same. The comparison covers everything that a container can see, and the marks that merging needs. It does not cover
/// the order of the files in the content space.
public struct TreeComparison {
    /// A pair of directories whose entries have not been compared yet.
    private struct Pair {
        let own: UInt64
        let other: UInt64
        let path: String
    }

    private let own: TreeImage
    private let other: TreeImage
    private let ignoresFractions: Bool
    private let limits: IndexLimits
    private var pending: [Pair] = []
    /// A map from inodes of `own` to the same files' inodes in `other`. It contains directories, and other inodes with
    /// several names.
    private var partners: [UInt64: UInt64] = [:]
    /// The inodes of `other` that are values in ``partners``.
    private var taken: Set<UInt64> = []
    private var entryCount = 0

    /// - Parameters:
    ///   - own: the tree to check. It may be hostile.
    ///   - other: the tree that was built from the archive.
    ///   - ignoresFractions: true if a time of `own` without a fraction of a second equals any time in that second.
    public init(
        _ own: TreeImage, with other: TreeImage, ignoresFractions: Bool, limits: IndexLimits = .standard
    ) {
        self.own = own
        self.other = other
        self.ignoresFractions = ignoresFractions
        self.limits = limits.clamped()
    }

    /// Returns a description of the first difference; `nil` if there is none.
    ///
    /// - Parameter isSame: a closure that is called once for each pair of regular files that are not empty. It receives
    ///   the ranges of the two files in their content spaces, and returns false if the contents differ.
    public mutating func difference(
        content isSame: (_ own: ByteRange, _ other: ByteRange) -> Bool
    ) throws(LayerIndexError) -> String? {
        // Without this mark, readers do not look for extended attributes at all.
        guard own.hasExtendedAttributes == other.hasExtendedAttributes else {
            return "/ is marked wrongly as a tree with\(own.hasExtendedAttributes ? "" : "out") extended attributes"
        }
        if let found = try difference(own.rootInode, other.rootInode, "/", isSame) { return found }
        while let pair = pending.popLast() {
            let (left, right) = (try entries(of: own, pair.own), try entries(of: other, pair.other))
            entryCount += right.count
            guard entryCount <= limits.entryCount else {
                throw LayerIndexError(.limit, "more than \(limits.entryCount) files")
            }
            for index in 0..<max(left.count, right.count) {
                let names = (index < left.count ? left[index].name : nil, index < right.count ? right[index].name : nil)
                guard names.0 == names.1, index < left.count, index < right.count else {
                    let name = names.0.map { String(decoding: $0, as: UTF8.self) } ?? "nothing"
                    let expected = names.1.map { String(decoding: $0, as: UTF8.self) } ?? "nothing"
                    return "\(pair.path) has \(name) where its archive has \(expected)"
                }
                // The end of the path is enough for a message. Many directories may be pending.
                let path = String(
                    (pair.path + (pair.path == "/" ? "" : "/") + String(decoding: left[index].name, as: UTF8.self))
                        .suffix(300))
                if let found = try difference(left[index].inode, right[index].inode, path, isSame) { return found }
            }
        }
        return nil
    }

    private func entries(
        of tree: TreeImage, _ directory: UInt64
    ) throws(LayerIndexError) -> [(name: [UInt8], inode: UInt64)] {
        var entries: [(name: [UInt8], inode: UInt64)] = []
        try tree.forEachEntry(directory) { name, inode, _, _ in
            if !name.elementsEqual([0x2E]), !name.elementsEqual([0x2E, 0x2E]) { entries.append((Array(name), inode)) }
            return entries.count <= limits.entryCount
        }
        return entries
    }

    private mutating func difference(
        _ left: UInt64, _ right: UInt64, _ path: String, _ isSame: (ByteRange, ByteRange) -> Bool
    ) throws(LayerIndexError) -> String? {
        let (mine, theirs) = (try own.attributes(left), try other.attributes(right))
        guard mine.mode == theirs.mode else { return "\(path) has the mode \(octal(mine)), not \(octal(theirs))" }
        guard mine.uid == theirs.uid, mine.gid == theirs.gid else {
            return "\(path) belongs to \(mine.uid):\(mine.gid), not \(theirs.uid):\(theirs.gid)"
        }
        guard mine.linkCount == theirs.linkCount else {
            return "\(path) has \(mine.linkCount) links, not \(theirs.linkCount)"
        }
        guard mine.kind == .directory || mine.size == theirs.size else {
            return "\(path) has \(mine.size) bytes, not \(theirs.size)"
        }
        guard (mine.deviceMajor, mine.deviceMinor) == (theirs.deviceMajor, theirs.deviceMinor) else {
            return "\(path) is another device"
        }
        guard hasSameTime(mine, theirs) else { return "\(path) has another modification time" }
        guard try own.hasSameAttributes(left, as: right, of: other) else {
            return "\(path) has other extended attributes"
        }
        if mine.kind == .directory || mine.linkCount > 1 {
            if let partner = partners[left] {
                return partner == right ? nil : "\(path) is another file's hard link"
            }
            guard taken.insert(right).inserted else { return "\(path) is not a hard link" }
            partners[left] = right
        }
        switch mine.kind {
        case .directory: pending.append(Pair(own: left, other: right, path: path))
        case .symlink:
            let target = try own.withSymbolicLink(left) { Array($0) }
            guard try other.withSymbolicLink(right, { $0.elementsEqual(target) }) else {
                return "\(path) has another target"
            }
        case .regular:
            guard let content = try own.content(left), let expected = try other.content(right) else { return nil }
            guard isSame(content.range, expected.range) else { return "\(path) has other content" }
        case .character, .block, .fifo, .socket, nil: break
        }
        return nil
    }

    /// Returns true if the times are equal, or if a table of contents has cut off or rounded the fraction of a second.
    private func hasSameTime(_ mine: NodeAttributes, _ theirs: NodeAttributes) -> Bool {
        if mine.modifiedSeconds == theirs.modifiedSeconds, mine.modifiedNanoseconds == theirs.modifiedNanoseconds {
            return true
        }
        guard ignoresFractions, mine.modifiedNanoseconds == 0 else { return false }
        // stargz-snapshotter's writer rounds, and so does ours.
        return mine.modifiedSeconds == theirs.modifiedSeconds
            || theirs.modifiedNanoseconds >= 500_000_000 && mine.modifiedSeconds == theirs.modifiedSeconds &+ 1
    }

    private func octal(_ attributes: NodeAttributes) -> String { String(attributes.mode, radix: 8) }
}

extension TreeImage {
    /// Returns true if two inodes have the same extended attributes, including the marks for merging.
    fileprivate func hasSameAttributes(
        _ number: UInt64, as otherNumber: UInt64, of other: TreeImage
    ) throws(LayerIndexError) -> Bool {
        // The builder writes the attributes of an inode in a fixed order.
        let (own, others) = (try inode(number), try other.inode(otherNumber))
        guard own.xattrSize == others.xattrSize else { return false }
        guard own.xattrSize > 0 else { return true }
        return try image.slice(at: own.xattrStart, count: own.xattrSize)
            .elementsEqual(other.image.slice(at: others.xattrStart, count: others.xattrSize))
    }
}
