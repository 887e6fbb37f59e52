import Base
import LayerIndex
import TestSupport
import Testing

/// Trees of extreme shapes.
@Suite struct LargeTreeTests {
    /// 60,000 names in one directory: hundreds of blocks, searched by name and listed from every cookie.
    @Test("searches and lists a large directory") func searchesAndListsLargeDirectory() throws {
        var random = SeededRandom(seed: 7)
        var names = Set<String>()
        while names.count < 60_000 {
            names.insert(
                String(repeating: "n", count: Int.random(in: 0...40, using: &random)) + "\(random.next() % 1_000_000)")
        }
        let index = try Layers.index(names.sorted { $0.hashValue < $1.hashValue }.map { .file("d/\($0)") })
        let tree = try TreeImage(bytes: index.tree)
        try tree.verify()
        let directory = try #require(try [UInt8]("d".utf8).withUnsafeBytes { try tree.lookup(tree.rootInode, $0) })
        var listed: [[UInt8]] = []
        var cookies: [UInt64] = [0]
        try tree.forEachEntry(directory) { name, _, _, next in
            listed.append(Array(name))
            cookies.append(next)
            return true
        }
        #expect(listed.count == 60_002)
        #expect(cookies == cookies.sorted() && Set(cookies).count == cookies.count)
        for position in stride(from: 0, through: listed.count, by: 997) + [listed.count] {
            var rest: [UInt8]?
            try tree.forEachEntry(directory, from: cookies[position]) { name, _, _, _ in
                rest = Array(name)
                return false
            }
            #expect(rest == (position < listed.count ? listed[position] : nil))
        }
        let all = Set(listed)
        for name in listed.indices.filter({ $0 % 61 == 0 }).map({ listed[$0] }) {
            #expect(try name.withUnsafeBytes { try tree.lookup(directory, $0) } != nil)
            #expect(try (name + [0x21]).withUnsafeBytes { try tree.lookup(directory, $0) } == nil)
            let shorter = Array(name.dropLast())
            #expect(try shorter.withUnsafeBytes { try tree.lookup(directory, $0) != nil } == all.contains(shorter))
        }
        try Tools.expectSound(index.tree, devices: [0], "a large directory")
    }

    @Test("supports a deep tree") func supportsDeepTree() throws {
        let path = (0..<1000).map { "d\($0 % 10)" }.joined(separator: "/") + "/f"
        let tree = try Layers.tree([.file(path)])
        try tree.verify()
        #expect(tree.inodeCount == 1002)
        let merged = try TreeImage(bytes: try ChainMerger.merge([(tree, Layers.digest)]))
        try merged.verify()
        #expect(merged.inodeCount == 1002)
    }

    /// Chains of links in both directions. They would take quadratic time if each link were followed to its end.
    @Test("resolves a long chain of links in linear time", arguments: [false, true])
    func resolvesLongChainOfLinksInLinearTime(forward: Bool) throws {
        let count = 60_000
        var entries = [LayerEntry.file("l0")]
        for number in 1..<count { entries.append(.link("l\(number)", to: "l\(number - 1)")) }
        if forward { entries.reverse() }
        let tree = try Layers.tree(entries)
        let inode = try #require(try [UInt8]("l777".utf8).withUnsafeBytes { try tree.lookup(tree.rootInode, $0) })
        #expect(try tree.attributes(inode).linkCount == UInt32(count))
        #expect(tree.inodeCount == 2)
        try tree.verify()
    }

    /// As many attributes as fit, all on one file, each given twice.
    @Test("stores as many attributes as fit") func storesAsManyAttributesAsFit() throws {
        let xattrs = (0..<20_000).map { ("user.\($0)", "") }
        let tree = try Layers.tree([.file("f", xattrs: xattrs + xattrs.map { ($0.0, "2") })])
        let inode = try #require(try [UInt8]("f".utf8).withUnsafeBytes { try tree.lookup(tree.rootInode, $0) })
        var count = 0
        try tree.forEachExtendedAttribute(inode) { _, value in
            count += value.elementsEqual([0x32]) ? 1 : 0
            return true
        }
        #expect(count == 20_000)
    }

    /// 1000 layers: the device table still leaves room for the root's inode, whose number has 16 bits.
    @Test("rejects too many devices") func rejectsTooManyDevices() throws {
        var layers: [(tree: TreeImage, digest: Digest)] = []
        for number in 0..<1000 {
            let digest = Digest.of(Array("\(number)".utf8))
            layers.append((try Layers.tree([.file("f\(number)")], digest: digest), digest))
        }
        let tree = try TreeImage(bytes: try ChainMerger.merge(layers))
        try tree.verify()
        #expect(tree.deviceTags.count == 1000 && tree.inodeCount == 1001)
    }
}
