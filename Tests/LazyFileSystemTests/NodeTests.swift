import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux
import SystemPackage
import Testing

@Suite struct NodeTests {
    static let pairs: [(UInt32, UInt64)] = [(0, 1), (1, 36), (1 << 24 - 1, 1 << 40 - 1), (7, 0)]

    @Test(arguments: pairs)
    func composesIDsOfSlotAndInode(slot: UInt32, nid: UInt64) throws {
        let node = try #require(NodeID(slot: slot, nid: nid))
        #expect(node.slot == slot && node.nid == nid)
        #expect(NodeID(rawValue: node.rawValue) == node)
    }

    @Test func refusesOversizedIDs() {
        #expect(NodeID(slot: 1 << 24, nid: 1) == nil)
        #expect(NodeID(slot: 1, nid: 1 << 40) == nil)
    }

    static func sample() -> LayerFixture {
        var layer = LayerFixture()
        layer.directory("usr", mode: 0o1777)
        layer.file("usr/data", [1, 2, 3], mode: 0o4755, uid: 70_000, gid: 80_000)
        layer.file("usr/empty")
        layer.add("usr/link", .symlink, mode: 0o777, link: "../usr/data")
        layer.add("usr/hard", .hardlink, mode: 0o4755, uid: 70_000, gid: 80_000, link: "usr/data")
        layer.add("null", .character, mode: 0o666, device: (1, 3))
        layer.add("disk", .block, mode: 0o660, device: (259, 300_000))
        layer.add("pipe", .fifo, mode: 0o600)
        return layer
    }

    @Test func reportsTheTreesAttributes() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            try fixture.mount([Self.sample()], slot: 5)
            let data = try fixture.status("usr/data")
            #expect(data.mode == 0o104755 && data.uid == 70_000 && data.gid == 80_000 && data.size == 3)
            #expect(data.linkCount == 2 && data.id.slot == 5 && data.modifiedSeconds == 1_700_000_000)
            #expect(try fixture.status("usr/hard") == data)
            #expect(try fixture.status("usr").mode == 0o041777)
            #expect(try fixture.status("usr/empty").size == 0)
            let disk = try fixture.status("disk")
            #expect(disk.mode == 0o060660 && disk.deviceMajor == 259 && disk.deviceMinor == 300_000)
            #expect(try fixture.status("null").deviceMinor == 3)
            #expect(try fixture.status("pipe").fileType == 0o010000)
            let link = try fixture.status("usr/link")
            #expect(link.isSymlink && link.size == 11)
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = try buffer.withUnsafeMutableBytes { try fixture.fileSystem.readLink(link.id, into: $0) }
            #expect(String(decoding: buffer[..<count], as: UTF8.self) == "../usr/data")
        }
    }

    @Test func keepsIDsAndGenerationsOverARestart() throws {
        let ids = try (0..<2).map { _ in
            try withTemporaryDirectory { directory in
                let fixture = try StoreFixture(root: directory)
                let (_, layers) = try fixture.mount([Self.sample()], slot: 9)
                let status = try fixture.status("usr/data")
                let content = try fixture.fileSystem.find(.content, layers[0].key.id.hex)
                return [status.id.rawValue, UInt64(status.generation), content?.id.rawValue ?? 0]
            }
        }
        #expect(ids[0] == ids[1])
        #expect(ids[0][2] != 0)
    }

    @Test func cachesAbsenceInTreesOnly() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            let (id, _) = try fixture.mount([Self.sample()])
            let root = try #require(try fixture.fileSystem.find(.root, id.hex))
            #expect(try fixture.fileSystem.lookup(root.id, "nothing") == .absent(forever: true))
            #expect(try fixture.fileSystem.lookup(.root, "nothing") == .absent(forever: false))
            #expect(try fixture.fileSystem.lookup(.root, Digest.of([9]).hex) == .absent(forever: false))
            #expect(try fixture.fileSystem.lookup(.content, Digest.of([9]).hex) == .absent(forever: false))
        }
    }

    @Test func findsDotsForFileHandles() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            let (id, _) = try fixture.mount([Self.sample()])
            let files = fixture.fileSystem
            let root = try #require(try files.find(.root, id.hex))
            let usr = try fixture.status("usr")
            let data = try fixture.status("usr/data")
            #expect(try files.find(data.id, ".") == data)
            #expect(try files.find(usr.id, "..") == root)
            #expect(try files.find(root.id, "..")?.id == .root)
            #expect(try files.find(.content, "..")?.id == .root)
        }
    }

    @Test func reportsWrongKinds() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            let (id, _) = try fixture.mount([Self.sample()])
            let files = fixture.fileSystem
            let data = try fixture.status("usr/data")
            let root = try #require(try files.find(.root, id.hex))
            var buffer = [UInt8](repeating: 0, count: 16)
            func code(_ body: () throws -> Void) -> LazyFileSystemError.Code? {
                do {
                    try body()
                    return nil
                } catch {
                    return (error as? LazyFileSystemError)?.code
                }
            }
            #expect(code { _ = try files.lookup(data.id, "x") } == .notDirectory)
            #expect(code { try files.list(data.id, from: 0) { _ in true } } == .notDirectory)
            #expect(
                code { _ = try buffer.withUnsafeMutableBytes { try files.readLink(data.id, into: $0) } } == .notSymlink)
            let outcome = buffer.withUnsafeMutableBytes { files.read(root.id, at: 0, into: $0) }
            guard case .failed(let error) = outcome else {
                Issue.record("a directory was read")
                return
            }
            #expect(error.errno == .isDirectory)
            // The tree has no such inode number.
            let odd = try #require(NodeID(slot: 1, nid: 1 << 30))
            #expect(code { _ = try files.status(odd) } == .corrupt)
        }
    }
}
