import Base
import LayerIndex
import Testing

/// The bounds of building, merging and verifying: deadlines, memory, and work that grows with the input.
@Suite struct WorkBoundsTests {
    /// Counts how often the work has looked at its deadline, which it does after a fixed number of steps.
    private static func steps(_ work: (WorkDeadline) throws -> Void) rethrows -> Int {
        let looks = Counter()
        try work(
            WorkDeadline {
                looks.add()
                return false
            })
        return Int(looks.value)
    }

    private static func builder(_ entries: [LayerEntry]) throws -> LayerIndexBuilder {
        var builder = LayerIndexBuilder(blobDigest: Layers.digest, blobSize: 1 << 30)
        for entry in entries { try builder.add(entry) }
        return builder
    }

    private static let over = WorkDeadline { true }

    @Test("stops building, merging and verifying at the deadline") func stopsAtDeadline() throws {
        let entries = [LayerEntry.directory("d"), .file("d/f"), .link("l", to: "d/f")]
        var error = #expect(throws: LayerIndexError.self) {
            _ = try Self.builder(entries).finish(by: Self.over)
        }
        #expect(error?.code == .deadline)
        let tree = try Layers.tree(entries)
        error = #expect(throws: LayerIndexError.self) {
            try ChainMerger.merge([(tree, Layers.digest)], by: Self.over)
        }
        #expect(error?.code == .deadline)
        error = #expect(throws: LayerIndexError.self) { try tree.verify(by: Self.over) }
        #expect(error?.code == .deadline)
    }

    /// Names of 255 bytes that differ only at their ends, in one directory.
    @Test("sorts names with a long common beginning in near-linear time") func sortsLongNames() throws {
        func names(_ count: Int) -> [LayerEntry] {
            let prefix = String(repeating: "n", count: 249)
            return (0..<count).map { .file("\(prefix)\($0 * 7919 % 1_000_003)") }
        }
        let small = try Self.steps { _ = try Self.builder(names(5000)).finish(by: $0) }
        let large = try Self.steps { _ = try Self.builder(names(20_000)).finish(by: $0) }
        #expect(large <= 5 * small + 20)
    }

    /// A directory whose default access control list comes after many other attributes.
    @Test("a file below a directory with many attributes costs no more than any other") func inheritsCheaply() throws {
        let list: [UInt8] = [2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 7, 0, 0, 0]
        var directory = LayerEntry.directory("d", xattrs: (0..<5000).map { ("user.\($0)", "") })
        directory.xattrs.append((Array("system.posix_acl_default".utf8), list))
        var builder = try Self.builder([directory])
        let before = builder.hiddenSteps
        for number in 0..<100 { try builder.add(.file("d/\(number)")) }
        #expect(builder.hiddenSteps - before < 100 * 20)
        let lines = try Layers.describe(try TreeImage(bytes: try builder.finish().tree))
        #expect(lines.count { $0.contains("system.posix_acl_access") } == 100)
    }

    @Test("stores the attributes of a file that occurs often only once") func reusesAttributes() throws {
        var limits = IndexLimits()
        limits.metadataBytes = 10_000
        let entry = LayerEntry.file("f", xattrs: (0..<50).map { ("user.attribute\($0)", "value") })
        var builder = LayerIndexBuilder(blobDigest: Layers.digest, blobSize: 1, limits: limits)
        try builder.add(.directory("d", xattrs: [("user.a", "1")]))
        for _ in 0..<1000 { try builder.add(.directory("d", xattrs: [("user.a", "2")])) }
        try builder.add(entry)
        for number in 0..<200 {
            try builder.add(.link("l\(number)", to: "f", mode: 0o600, xattrs: [("user.attribute1", "x")]))
        }
        let tree = try TreeImage(bytes: try builder.finish().tree)
        #expect(
            try Layers.describe(tree).contains {
                $0.contains("user.attribute1=x") && $0.contains("user.attribute2=value")
            })
    }

    @Test("drops a capability at the first hard link and keeps the access control list in step")
    func followsFlagsOfAttributes() throws {
        let list: [UInt8] = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 7, 0, 7, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0,
            7,
            0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
        ]
        var file = LayerEntry.file("f", xattrs: [("security.capability", "c"), ("user.a", "1")])
        file.xattrs.append((Array("system.posix_acl_access".utf8), list))
        let tree = try Layers.tree([file, .link("g", to: "f", mode: 0o400)])
        let inode = try #require(try [UInt8]("f".utf8).withUnsafeBytes { try tree.lookup(tree.rootInode, $0) })
        var found: [String: [UInt8]] = [:]
        try tree.forEachExtendedAttribute(inode) { name, value in
            found[String(decoding: name, as: UTF8.self)] = Array(value)
            return true
        }
        #expect(found.keys.sorted() == ["system.posix_acl_access", "user.a"])
        #expect(found["system.posix_acl_access"]?[6] == 4, "the owner's permissions are those of the new mode")
    }

    /// An entry below a chain of links. Each link is found in a pass over the whole path.
    @Test("counts the passes over a path with symbolic links") func countsPasses() throws {
        var builder = try Self.builder((0..<100).map { .symlink("l\($0)", to: $0 == 99 ? "t" : "l\($0 + 1)") })
        let before = builder.hiddenSteps
        try builder.add(.file("l0/\(String(repeating: "a/", count: 900))f"))
        #expect(builder.hiddenSteps - before >= 100 * 900 / 8)
        _ = try builder.finish()
    }

    @Test("limits the memory of building") func limitsMemory() throws {
        var limits = IndexLimits()
        limits.buildMemory = 1 << 20
        func build(_ count: Int) throws {
            _ = try Layers.index((0..<count).map { .file("d/\($0)") }, limits: limits)
        }
        try build(2000)
        let error = #expect(throws: LayerIndexError.self) { try build(10_000) }
        #expect(error?.code == .limit)
    }

    @Test("estimates the memory of a merge below its bound") func estimatesMerge() throws {
        let tree = try Layers.tree((0..<1000).map { .file("d/file\($0)") } + [.link("a", to: "d/file1")])
        let need = try ChainMerger.memory(of: [tree, tree])
        #expect(need >= 2 * 1002 * 300)
        #expect(need <= ChainMerger.memoryBound(treeBytes: UInt64(2 * tree.byteCount)))
    }

    @Test("verifies bytes without a copy as it does with one") func verifiesBorrowedBytes() throws {
        let index = try Layers.index([.file("f"), .directory("d")])
        try TreeImage.verify(index.tree)
        #expect(throws: LayerIndexError.self) { try TreeImage.verify(Array(index.tree.dropLast(4096))) }
        #expect(try ChunkTable.withTable(of: index.chunks) { $0.blobDigest } == Layers.digest)
    }
}
