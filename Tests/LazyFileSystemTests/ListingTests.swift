import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux
import Testing

@Suite struct ListingTests {
    @Test(arguments: [1, 2, 7, Int.max])
    func listsEachNameOnce(step: Int) throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            let names = (0..<3000).map { "name-\($0)" }
            for name in names { layer.file("d/\(name)") }
            try fixture.mount([layer])
            let listed = try fixture.fileSystem.names(try fixture.status("d").id, step: step)
            #expect(listed.count == 3002)
            #expect(Set(listed) == Set(names + [".", ".."]))
        }
    }

    @Test func keepsCookiesValid() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            for index in 0..<2000 { layer.file("d/\(index)") }
            try fixture.mount([layer])
            let node = try fixture.status("d").id
            var cookies: [UInt64] = [0]
            var names: [String] = []
            try fixture.fileSystem.list(node, from: 0) { entry in
                cookies.append(entry.next)
                names.append(String(decoding: entry.name, as: UTF8.self))
                return true
            }
            for index in stride(from: 0, through: names.count, by: 97) {
                #expect(try fixture.fileSystem.names(node, from: cookies[index]) == Array(names[index...]))
            }
            // With a cookie that was never returned, the listing only has to end.
            for odd in [UInt64.max, 1 << 40, 5] { _ = try fixture.fileSystem.names(node, from: odd) }
        }
    }

    @Test func listsChainsAndContentFiles() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var shared = LayerFixture()
            shared.file("a", [1])
            var upper = LayerFixture()
            upper.file("b", [2])
            let first = try fixture.mount([shared], slot: 3)
            let second = try fixture.mount([shared, upper], slot: 1)
            let files = fixture.fileSystem
            #expect(try files.names(.root, step: 1) == [".", "..", "content", second.id.hex, first.id.hex])
            #expect(Set(try files.names(.content, step: 1)) == Set([".", "..", shared.key.id.hex, upper.key.id.hex]))
            #expect(try files.status(.root).linkCount == 5)

            files.removeChain(second.id)
            #expect(try files.names(.root) == [".", "..", "content", first.id.hex])
            #expect(try files.names(.content) == [".", "..", shared.key.id.hex])
            files.removeChain(second.id)
            files.removeChain(first.id)
            #expect(try files.names(.root) == [".", "..", "content"])
            #expect(try files.names(.content) == [".", ".."])
        }
    }

    @Test func continuesAListingWhileChainsChange() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var ids: [UInt32: Digest] = [:]
            for slot in UInt32(1)...6 {
                var layer = LayerFixture()
                layer.file("f\(slot)", [UInt8(slot)])
                ids[slot] = try fixture.mount([layer], slot: slot).id
            }
            var cookie: UInt64 = 0
            try fixture.fileSystem.list(.root, from: 0) { entry in
                cookie = entry.next
                return !entry.name.elementsEqual((ids[3]?.hex ?? "").utf8)
            }
            for slot in [UInt32(1), 3, 5] { fixture.fileSystem.removeChain(try #require(ids[slot])) }
            #expect(try fixture.fileSystem.names(.root, from: cookie) == [4, 6].compactMap { ids[$0]?.hex })
        }
    }

    @Test func reportsChanges() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            let seen = Guarded<[String]>([])
            fixture.fileSystem.onChange { change in
                let place = change.directory == .root ? "root" : "content"
                seen.withLock { $0.append("\(place) \(change.appeared)") }
            }
            var layer = LayerFixture()
            layer.file("f", [1])
            let (id, contents) = try fixture.mount([layer], slot: 1)
            try fixture.fileSystem.addChain(
                id, tree: TreeImage(bytes: try ContentStore.mergedTree(of: contents)), layers: contents, slot: 1)
            fixture.fileSystem.removeChain(id)
            fixture.fileSystem.removeChain(id)
            #expect(seen.withLock { $0 } == ["root true", "content true", "root false", "content false"])
        }
    }

    @Test func followsTheSystemCallsForExtendedAttributes() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            let capability: [UInt8] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
            var layer = LayerFixture()
            layer.file("ping", [1], xattrs: [("security.capability", capability), ("user.note", Array("x".utf8))])
            layer.file("plain", [2])
            try fixture.mount([layer])
            let files = fixture.fileSystem
            func value(_ path: String, _ name: String, _ size: Int) throws -> (Int?, [UInt8]) {
                var buffer = [UInt8](repeating: 0, count: size)
                let node = try fixture.status(path).id
                let count = try buffer.withUnsafeMutableBytes { buffer in
                    try Array(name.utf8).withUnsafeBytes { try files.extendedAttribute(node, named: $0, into: buffer) }
                }
                return (count, buffer)
            }
            #expect(try value("ping", "security.capability", 0).0 == 20)
            #expect(try value("ping", "security.capability", 20) == (20, capability))
            #expect(try value("ping", "user.other", 20).0 == nil)
            #expect(try value("plain", "security.capability", 20).0 == nil)
            #expect(throws: LazyFileSystemError.self) { _ = try value("ping", "security.capability", 19) }
            var names = [UInt8](repeating: 0, count: 100)
            let node = try fixture.status("ping").id
            let length = try files.extendedAttributeNames(
                node, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
            let count = try names.withUnsafeMutableBytes { try files.extendedAttributeNames(node, into: $0) }
            #expect(length == count)
            let list = names[..<count].split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            #expect(Set(list) == ["security.capability", "user.note"])
            var small = [UInt8](repeating: 0, count: count - 1)
            #expect(throws: LazyFileSystemError.self) {
                _ = try small.withUnsafeMutableBytes { try files.extendedAttributeNames(node, into: $0) }
            }
        }
    }
}
