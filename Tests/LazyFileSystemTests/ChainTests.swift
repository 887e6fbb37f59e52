import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux
import SystemPackage
import Testing

@Suite struct ChainTests {
    @Test func neverReusesASlot() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var one = LayerFixture()
            one.file("one", [1])
            var two = LayerFixture()
            two.file("two", [2])
            let (id, contents) = try fixture.mount([one], slot: 4)
            let tree = try TreeImage(bytes: try ContentStore.mergedTree(of: contents))
            func code(_ body: () throws -> Void) -> LazyFileSystemError.Code? {
                do {
                    try body()
                    return nil
                } catch {
                    return (error as? LazyFileSystemError)?.code
                }
            }
            let files = fixture.fileSystem
            #expect(code { try fixture.mount([two], slot: 4) } == .badSlot)
            #expect(code { try fixture.mount([two], slot: 0) } == .badSlot)
            #expect(code { try fixture.mount([two], slot: NodeID.maximumSlot + 1) } == .badSlot)
            #expect(code { try files.addChain(id, tree: tree, layers: contents, slot: 5) } == .badSlot)
            #expect(code { try files.addChain(id, tree: tree, layers: contents, slot: 4) } == nil)
            #expect(code { try files.addChain(Digest.of([1]), tree: tree, layers: [], slot: 6) } == .layersDoNotMatch)

            // The kernel may still hold nodes of this chain. Another chain must never answer for them.
            let node = try fixture.status("one").id
            files.removeChain(id)
            #expect(!files.hasChain(id))
            #expect(code { try fixture.mount([two], slot: 4) } == .badSlot)
            #expect(code { _ = try files.status(node) } == .stale)
            try files.addChain(id, tree: tree, layers: contents, slot: 4)
            #expect(try files.status(node).size == 1)
        }
    }

    @Test func hidesWhiteouts() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var lower = LayerFixture()
            lower.file("etc/gone", [1])
            lower.file("etc/kept", [2])
            lower.file("opt/old/x", [3])
            var upper = LayerFixture()
            upper.file("etc/.wh.gone")
            upper.file("opt/old/.wh..wh..opq")
            upper.file("opt/old/new", Array("upper".utf8))
            try fixture.mount([lower, upper])
            let files = fixture.fileSystem
            #expect(try files.names(try fixture.status("etc").id).sorted() == [".", "..", "kept"])
            #expect(try files.names(try fixture.status("opt/old").id).sorted() == [".", "..", "new"])
        }
    }

    @Test func reportsTheStoresCapacity() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            layer.file("f", [1])
            try fixture.mount([layer])
            let capacity = fixture.fileSystem.capacity()
            #expect(capacity.blocks > 0 && capacity.blockSize > 0 && capacity.files >= 2)
            let blind = LazyFileSystem(source: fixture.source) { nil }
            #expect(blind.capacity().blockSize > 0)
        }
    }
}
