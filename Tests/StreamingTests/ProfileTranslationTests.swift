import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux
import Streaming
import Testing

/// Tests that first touches become a profile, and that it translates to the same chain and to the image's next one.
@Suite struct ProfileTranslationTests {
    typealias Layer = LayerFixture

    static let chunk: UInt64 = 4096

    /// Returns bytes that depend on `seed`.
    static func bytes(_ chunks: Int, _ seed: Int) -> [UInt8] {
        (0..<chunks * Int(chunk)).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761 &+ seed &* 977) >> 7) }
    }

    static func layer(_ files: [(path: String, bytes: [UInt8])]) -> Layer {
        var layer = Layer()
        for file in files { layer.file(file.path, file.bytes, chunk: Int(chunk)) }
        return layer
    }

    static func range(_ chunks: Range<UInt64>) -> ByteRange {
        ByteRange(offset: chunks.lowerBound * chunk, end: chunks.upperBound * chunk)
    }

    static func entry(_ path: String, _ chunks: Range<UInt64>) -> Profile.Entry {
        Profile.Entry(path: Array(path.utf8), range: range(chunks), milliseconds: 0)
    }

    /// Reads `count` bytes as a FUSE server does, and returns the number of misses.
    @discardableResult
    static func read(_ fixture: StoreFixture, _ node: NodeID, _ offset: UInt64, _ count: Int) throws -> Int {
        var miss: Miss?
        var buffer = [UInt8](repeating: 0, count: count)
        for misses in 0..<8 {
            switch buffer.withUnsafeMutableBytes({ fixture.fileSystem.read(node, at: offset, into: $0, after: miss) }) {
            case .bytes: return misses
            case .failed(let error): throw error
            case .missing(let missing):
                miss = missing
                _ = fixture.fileSystem.demand(missing) { _ in }
            }
        }
        throw Child.Failure(what: "the read never ended")
    }

    /// Returns the chunks of `pieces`, by layer.
    static func chunks(_ pieces: [ChunkRun]) -> [[Int]] {
        pieces.map { Array($0.chunks) }
    }

    @Test func recordsFirstTouchesInOrder() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            let mounted = try fixture.mount([Self.layer([("a", Self.bytes(4, 1)), ("b", Self.bytes(2, 2))])])
            let log = try #require(fixture.fileSystem.touches(ofChain: mounted.id))
            #expect(log.lastTouch == nil)
            let (a, b) = (try fixture.status("a").id, try fixture.status("b").id)
            // A hit counts as a touch, just like a miss.
            try fixture.source.publish(mounted.layers[0], 5..<6)
            #expect(try Self.read(fixture, b, Self.chunk + 7, 10) == 0)
            #expect(try Self.read(fixture, a, Self.chunk - 1, 2) == 1)
            try Self.read(fixture, b, Self.chunk, 100)
            try Self.read(fixture, a, 0, Int(3 * Self.chunk))
            let last = try #require(log.lastTouch)
            try Self.read(fixture, a, 0, Int(3 * Self.chunk))
            #expect(log.lastTouch == last, "what is read again is no touch")
            let touches = log.close()
            #expect(touches.map(\.inode) == [b.nid, a.nid, a.nid, a.nid])
            #expect(
                touches.map(\.range) == [Self.range(1..<2), Self.range(0..<1), Self.range(1..<2), Self.range(2..<3)])
            #expect(touches.first?.time == 0)
            #expect(touches.map(\.time) == touches.map(\.time).sorted())
        }
    }

    @Test func recordsNoTouchesOfContentFilesOrInClosedLogs() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            let mounted = try fixture.mount([Self.layer([("a", Self.bytes(4, 1))])])
            let log = try #require(fixture.fileSystem.touches(ofChain: mounted.id))
            let content = try #require(try fixture.fileSystem.find(.content, mounted.layers[0].key.id.hex))
            try Self.read(fixture, content.id, 0, 100)
            #expect(log.lastTouch == nil)
            let file = try fixture.status("a").id
            try Self.read(fixture, file, 0, 100)
            #expect(log.close().map(\.range) == [Self.range(0..<1)])
            try Self.read(fixture, file, Self.chunk, 100)
            #expect(log.close().isEmpty)
        }
    }

    @Test func translatesToTheSameChain() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            let lower = Self.layer([("dir/sub/a", Self.bytes(3, 1)), ("top", Self.bytes(2, 2))])
            let upper = Self.layer([("dir/b", Self.bytes(2, 3))])
            let mounted = try fixture.mount([lower, upper])
            let log = try #require(fixture.fileSystem.touches(ofChain: mounted.id))
            try Self.read(fixture, fixture.status("dir/b").id, Self.chunk, 10)
            try Self.read(fixture, fixture.status("dir/sub/a").id, 2 * Self.chunk, 10)
            try Self.read(fixture, fixture.status("top").id, 0, 10)
            let tree = try Self.tree(mounted.layers)
            let profile = Profile(log.close(), of: tree)
            #expect(profile.entries.map(\.path) == ["dir/b", "dir/sub/a", "top"].map { Array($0.utf8) })
            #expect(profile.entries.map(\.range) == [Self.range(1..<2), Self.range(2..<3), Self.range(0..<1)])
            #expect(profile.byteCount == 3 * Self.chunk)
            let pieces = profile.pieces(in: tree, mounted.layers)
            #expect(pieces.map(\.layer.digest) == [upper, lower, lower].map(\.digest))
            #expect(Self.chunks(pieces) == [[1], [2], [3]])
        }
    }

    /// Translates a profile to the next tag of an image. Its files are in other layers, and some have grown, shrunk or
    /// vanished.
    @Test func translatesToAnotherImageByPath() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            let lower = Self.layer([
                ("lib/moved", Self.bytes(2, 11)), ("lib/shrunk", Self.bytes(1, 12)),
                ("lib/directory/x", Self.bytes(1, 13)),
            ])
            let upper = Self.layer([("app", Self.bytes(1, 14)), ("lib/grown", Self.bytes(6, 15)), ("lib/empty", [])])
            let layers = try fixture.install([lower, upper])
            let profile = Profile(entries: [
                Self.entry("lib/grown", 1..<2), Self.entry("lib/gone", 0..<1), Self.entry("lib/moved", 1..<2),
                Self.entry("lib/shrunk", 0..<4), Self.entry("lib/shrunk", 1..<2), Self.entry("lib/directory", 0..<1),
                Self.entry("app/below", 0..<1), Self.entry("nowhere/at/all", 0..<1), Self.entry("lib/empty", 0..<1),
                Self.entry("app", 0..<1),
            ])
            let pieces = profile.pieces(in: try Self.tree(layers), layers)
            #expect(pieces.map(\.layer.digest) == [upper, lower, lower, upper].map(\.digest))
            let tree = try Self.tree(layers)
            let places = try [("lib/grown", 1), ("lib/moved", 1), ("lib/shrunk", 0), ("app", 0)].map { path, chunk in
                try Self.place(path, chunk, tree, layers)
            }
            #expect(Self.chunks(pieces) == places.map { [$0] })
        }
    }

    /// Returns the number of a file's chunk in its layer.
    static func place(_ path: String, _ chunk: UInt64, _ tree: TreeImage, _ layers: [StoredLayer]) throws -> Int {
        var inode = tree.rootInode
        for name in path.split(separator: "/") {
            let next = try Array(name.utf8).withUnsafeBytes { try tree.lookup(inode, $0) }
            inode = try #require(next)
        }
        let content = try #require(try tree.content(inode))
        return layers[content.device].chunks.chunks(
            overlapping: ByteRange(offset: content.range.offset + chunk * Self.chunk, end: content.range.end)
        ).lowerBound
    }

    static func tree(_ layers: [StoredLayer]) throws -> TreeImage {
        try TreeImage(bytes: ContentStore.mergedTree(of: layers))
    }
}
