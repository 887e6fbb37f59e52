import Base
import LayerFormats
import LayerIndex
import TestSupport
import Testing

/// The cases of stargz-snapshotter's own suite, for each notation of names.
@Suite struct EstargzTreeTests {
    static let prefixes = ["", "./", "/", "../"]

    static func open(
        _ entries: [TarEntry], prefix: String = "", chunkSize: Int = 4 << 20, minimumChunkSize: Int = 0
    ) throws -> OpenedLayer {
        var options = EstargzOptions()
        options.prefix = prefix
        options.chunkSize = chunkSize
        options.minimumChunkSize = minimumChunkSize
        return try EstargzBlob.make(entries, options).opened()
    }

    @Test(arguments: prefixes)
    func empty(prefix: String) throws {
        let layer = try Self.open([], prefix: prefix)
        let root = try layer.node("")
        #expect(layer.nodes.count == 1)
        #expect(root.permissions == 0o755 && root.attributes.uid == 0 && root.attributes.linkCount == 2)
        #expect(layer.chunks.chunkCount == 0)
    }

    /// Reads a null list of entries: Go writes null for a slice that was never created.
    @Test func noEntriesAtAll() throws {
        let blob = EstargzBlob.make([]).replacingTOC(Array(#"{"version":1,"entries":null}"#.utf8))
        #expect(try blob.opened().nodes.count == 1)
    }

    @Test(arguments: prefixes)
    func directoryAndFiles(prefix: String) throws {
        let layer = try Self.open(
            [
                .directory("foo/", mode: 0o750).owned(by: 10, 20),
                .file("foo/empty", "", mode: 0o600),
                .file("foo/bar.txt", "some text", mode: 0o640).owned(by: 70_000, 80_000)
                    .withAttribute("user.plain", Array("value".utf8))
                    .withAttribute("user.bytes", [0xff, 0, 0xc3, 0x28])
                    .modified(at: 1_234_567_890),
            ], prefix: prefix)
        #expect(layer.nodes.keys.sorted() == ["", "foo", "foo/bar.txt", "foo/empty"])
        let directory = try layer.node("foo")
        #expect(directory.kind == .directory && directory.permissions == 0o750)
        #expect(directory.attributes.uid == 10 && directory.attributes.gid == 20)
        let file = try layer.node("foo/bar.txt")
        #expect(file.kind == .regular && file.permissions == 0o640 && file.attributes.size == 9)
        #expect(file.attributes.uid == 70_000 && file.attributes.gid == 80_000)
        #expect(file.attributes.modifiedSeconds == 1_234_567_890)
        #expect(file.xattrs == ["user.plain": Array("value".utf8), "user.bytes": [0xff, 0, 0xc3, 0x28]])
        #expect(try layer.contents("foo/bar.txt") == Array("some text".utf8))
        #expect(try layer.contents("foo/empty").isEmpty)
        #expect(try layer.node("foo/empty").attributes.size == 0)
    }

    /// Takes owners by number. Readers that use user names carry them on from entry to entry; this one ignores them.
    @Test func ownersByNumber() throws {
        let layer = try Self.open([
            .file("one", "1").owned(by: 7, 8, userName: "first", groupName: "group"),
            .file("two", "2").owned(by: 7, 8, userName: "first", groupName: "group"),
        ])
        #expect(try layer.node("two").attributes.uid == 7 && layer.node("two").attributes.gid == 8)
    }

    @Test(arguments: prefixes)
    func nestedDirectories(prefix: String) throws {
        let layer = try Self.open(
            [.directory("a/"), .directory("a/b/"), .file("a/b/file", "x"), .directory("c/")], prefix: prefix)
        #expect(try layer.node("").attributes.linkCount == 4)
        #expect(try layer.node("a").attributes.linkCount == 3)
        #expect(try layer.node("a/b").attributes.linkCount == 2)
        #expect(try layer.node("c").attributes.linkCount == 2)
    }

    @Test func parentsAreMade() throws {
        let layer = try Self.open([.file("x/y/z", "deep")])
        let parent = try layer.node("x/y")
        #expect(parent.kind == .directory && parent.permissions == 0o755 && parent.attributes.uid == 0)
        #expect(try layer.contents("x/y/z") == Array("deep".utf8))
    }

    @Test(arguments: prefixes)
    func links(prefix: String) throws {
        let layer = try Self.open(
            [
                .file("file", "text"), .symlink("soft", to: "../../somewhere"), .hardlink("hard", to: "file"),
                .hardlink("harder", to: "hard"),
            ], prefix: prefix)
        #expect(try layer.node("soft").link == Array("../../somewhere".utf8))
        let file = try layer.node("file")
        #expect(file.attributes.linkCount == 3)
        #expect(try layer.node("hard").inode == file.inode && layer.node("harder").inode == file.inode)
        #expect(try layer.contents("harder") == Array("text".utf8))
    }

    @Test(arguments: ["./", "/", ".", "../"])
    func theRootIsNotItsOwnChild(name: String) throws {
        let layer = try Self.open([.directory(name, mode: 0o700).owned(by: 5, 6), .directory("d/"), .file("d/f", "x")])
        #expect(layer.nodes.keys.sorted() == ["", "d", "d/f"])
        // containerd ignores such an entry.
        #expect(try layer.node("").permissions == 0o755 && layer.node("").attributes.uid == 0)
    }

    @Test(arguments: prefixes)
    func devices(prefix: String) throws {
        let layer = try Self.open(
            [
                .node(.block, "b", 123, 456), .node(.character, "c", 111, 222), .node(.fifo, "f"),
                .node(.character, "n", 1, 3),
            ],
            prefix: prefix)
        #expect(try layer.node("b").kind == .block && layer.node("c").kind == .character)
        #expect(try layer.node("b").attributes.deviceMajor == 123 && layer.node("b").attributes.deviceMinor == 456)
        #expect(try layer.node("c").attributes.deviceMajor == 111 && layer.node("c").attributes.deviceMinor == 222)
        #expect(try layer.node("f").kind == .fifo)
        #expect(try layer.node("n").attributes.deviceMajor == 1)
    }

    @Test(arguments: [0o4755, 0o2755, 0o1755, 0o7777, 0o6711] as [UInt32])
    func modes(mode: UInt32) throws {
        // The type bits that some writers put into the mode have no effect.
        let blob = EstargzBlob.make([.file("file", "x", mode: mode), .directory("dir/", mode: mode)]) { toc in
            toc[0].mode = Int64(mode) | 0o120000
            toc[1].mode = Int64(mode) | 0o40000
        }
        let layer = try blob.opened()
        #expect(try layer.node("file").kind == .regular && layer.node("file").permissions == UInt16(mode))
        #expect(try layer.node("dir").kind == .directory && layer.node("dir").permissions == UInt16(mode))
    }

    @Test func oddNames() throws {
        let odd = [
            "bar/../bar///////////////////foo", "sp ace", "quote\"back\\slash", "new\nline", "tab\t", "ünï/çødé", "🧵",
        ]
        let layer = try Self.open(odd.map { .file($0, $0) })
        #expect(try layer.contents("bar/foo") == Array(odd[0].utf8))
        for name in odd.dropFirst() { #expect(try layer.contents(name) == Array(name.utf8)) }
    }

    @Test func whiteoutsAndOpaqueDirectories() throws {
        let layer = try Self.open([
            .directory("d/"), .file("d/.wh.gone", ""), .file("d/.wh..wh..opq", ""), .file("d/kept", "x"),
        ])
        #expect(layer.nodes.keys.sorted() == ["", "d", "d/gone", "d/kept"])
        #expect(try layer.node("d/gone").attributes.isWhiteout)
        #expect(try layer.node("d").xattrs["trusted.overlay.opaque"] == Array("y".utf8))
    }

    /// Treats the TOC's own entry and landmarks in the root as facts about the layer. In other directories, they are
    /// ordinary files.
    @Test(arguments: prefixes)
    func filesAboutTheLayer(prefix: String) throws {
        let names = ["stargz.index.json", ".prefetch.landmark", ".no.prefetch.landmark"]
        let layer = try Self.open(
            [.file("stargz.index.json", "{}")] + names.map { .file("sub/" + $0, [0x0f]) }, prefix: prefix)
        #expect(layer.nodes.keys.sorted() == (["", "sub"] + names.map { "sub/" + $0 }).sorted())
        #expect(layer.chunks.prefetch == .unknown)
        for name in names { #expect(try layer.contents("sub/" + name) == [0x0f]) }
    }

    @Test(arguments: prefixes, [0, 5000])
    func landmarks(prefix: String, minimumChunkSize: Int) throws {
        let entries: [TarEntry] = (0..<4).map { .file("file\($0)", Samples.noise(bytes: 3000, seed: UInt64($0))) }
        var options = EstargzOptions()
        options.prefix = prefix
        options.minimumChunkSize = minimumChunkSize
        options.landmark = .prefetch(before: 2)
        let blob = EstargzBlob.make(entries, options)
        let landmark = try #require(blob.toc.first { $0.name.suffix(9) == Array(".landmark".utf8)[...] })
        let layer = try blob.opened()
        #expect(layer.chunks.prefetch == .blobPrefix(end: UInt64(landmark.offset ?? 0)))
        #expect(layer.nodes.count == 5)
        for entry in entries {
            #expect(try layer.contents(String(decoding: entry.path, as: UTF8.self)) == entry.contents)
        }
        options.landmark = .noPrefetch
        #expect(try EstargzBlob.make(entries, options).opened().chunks.prefetch == .nothing)
    }

    /// Prefers the landmark for no prefetching if both are there, as stargz-snapshotter does.
    @Test func bothLandmarks() throws {
        let files: [TarEntry] = [
            .file("a", "a"), .file(".prefetch.landmark", [0x0f]), .file(".no.prefetch.landmark", [0x0f]),
        ]
        #expect(try Self.open(files).chunks.prefetch == .nothing)
        #expect(try Self.open(files.reversed()).chunks.prefetch == .nothing)
    }
}
