import Base
import Linux
import NodeDatabase
import Registry
import Testing

@Suite("chain records") struct ChainRecordsTests {
    static let app = Repository(host: "registry.example", name: "group/app")

    static func digest(_ name: String) -> Digest { Digest.of(Array(name.utf8)) }

    static func layer(_ name: String, in repository: Repository = app) -> RemoteLayer {
        RemoteLayer(digest: digest(name), repository: repository)
    }

    static func withRecords(_ body: (ChainRecords) throws -> Void) throws {
        try withTemporaryDirectory { directory in
            let state = try StateDatabase(root: directory)
            try body(ChainRecords(state))
            try state.close()
        }
    }

    @Test("finds the layers of a chain, bottom first, under a slot that it keeps")
    func findsLayersBottomFirst() throws {
        try Self.withRecords { (records) throws in
            #expect(try records.add(Self.digest("1"), parent: nil, layer: Self.layer("a")))
            #expect(try records.add(Self.digest("2"), parent: Self.digest("1"), layer: Self.layer("b")))
            let found = try #require(try records.find(Self.digest("2")))
            #expect(found.layers == [Self.layer("a"), Self.layer("b")])
            #expect(try records.find(Self.digest("1"))?.slot != found.slot)
            #expect(try records.add(Self.digest("2"), parent: Self.digest("1"), layer: Self.layer("b")))
            #expect(try records.find(Self.digest("2"))?.slot == found.slot)
        }
    }

    @Test("refuses a known chain with another layer or parent, not with another repository")
    func refusesContradiction() throws {
        try Self.withRecords { (records) throws in
            #expect(try records.add(Self.digest("1"), parent: nil, layer: Self.layer("a")))
            #expect(try !records.add(Self.digest("1"), parent: nil, layer: Self.layer("b")))
            #expect(try !records.add(Self.digest("1"), parent: Self.digest("0"), layer: Self.layer("a")))
            let elsewhere = Repository(host: "elsewhere.example", name: "x")
            #expect(try records.add(Self.digest("1"), parent: nil, layer: Self.layer("a", in: elsewhere)))
            #expect(try records.find(Self.digest("1"))?.layers == [Self.layer("a")])
        }
    }

    @Test("does not find a chain whose parent is unknown")
    func missesChainWithoutParent() throws {
        try Self.withRecords { (records) throws in
            #expect(try records.add(Self.digest("2"), parent: Self.digest("1"), layer: Self.layer("b")))
            #expect(try records.find(Self.digest("2")) == nil)
            #expect(try records.find(Self.digest("1")) == nil)
        }
    }

    @Test("returns a removed chain's layer only when no other chain has it, and never reuses a slot")
    func returnsOrphans() throws {
        try Self.withRecords { (records) throws in
            #expect(try records.add(Self.digest("1"), parent: nil, layer: Self.layer("a")))
            #expect(try records.add(Self.digest("2"), parent: Self.digest("1"), layer: Self.layer("a")))
            let slot = try #require(try records.find(Self.digest("2"))?.slot)
            #expect(try records.remove(Self.digest("2")) == nil)
            #expect(try records.remove(Self.digest("2")) == nil, "removing is idempotent")
            #expect(try records.remove(Self.digest("1")) == Self.digest("a"))
            #expect(try records.add(Self.digest("3"), parent: nil, layer: Self.layer("c")))
            let next = try #require(try records.find(Self.digest("3"))?.slot)
            #expect(next > slot)
        }
    }

    @Test("lists registries, the latest first")
    func listsRegistries() throws {
        try Self.withRecords { (records) throws in
            for (number, host) in ["a.example", "b.example", "c.example", "a.example"].enumerated() {
                let layer = Self.layer("\(number)", in: Repository(host: host, name: "x"))
                #expect(try records.add(Self.digest("\(number)"), parent: nil, layer: layer))
            }
            #expect(try records.upstreams(limit: 2) == ["a.example", "c.example"])
        }
    }
}
