import Base
import ContentStore
import GRDB
import Linux
import NodeDatabase
import Registry
import Testing

@Suite("chain records") struct ChainRecordsTests {
    static let app = Repository(host: "registry.example", name: "group/app")
    static let other = Repository(host: "elsewhere.example", name: "x")

    static func digest(_ name: String) -> Digest { Digest.of(Array(name.utf8)) }

    static func key(_ name: String) -> LayerKey { LayerKey(digest(name), .tableOfContents(digest("toc"), size: 1)) }

    static func layer(_ name: String, in repository: Repository = app) -> RemoteLayer {
        RemoteLayer(key: key(name), repository: repository)
    }

    static func withRecords(_ body: (ChainRecords, StateDatabase) throws -> Void) throws {
        try withTemporaryDirectory { directory in
            let state = try StateDatabase(root: directory)
            try body(ChainRecords(state), state)
            try state.close()
        }
    }

    @Test("finds the layers of a chain, bottom first")
    func findsLayersBottomFirst() throws {
        try Self.withRecords { (records, _) throws in
            let bottom = try records.add(Self.layer("a"), parent: nil, claim: Self.digest("1"))
            let top = try records.add(Self.layer("b"), parent: bottom, claim: Self.digest("2"))
            let found = try #require(try records.find(top))
            #expect(found.layers == [Self.layer("a"), Self.layer("b")])
            #expect(found.claim == Self.digest("2"))
            #expect(try records.add(Self.layer("b"), parent: bottom, claim: Self.digest("3")) == top)
            #expect(try records.find(top)?.claim == Self.digest("2"))
        }
    }

    @Test("keeps chains of one chain ID apart whose layers, pins or parents differ")
    func separatesChains() throws {
        try Self.withRecords { (records, _) throws in
            let claim = Self.digest("1")
            let first = try records.add(Self.layer("a"), parent: nil, claim: claim)
            let second = try records.add(Self.layer("b"), parent: nil, claim: claim)
            let pinned = LayerKey(Self.digest("a"), .index(Self.digest("index"), repository: "\(Self.app)"))
            let third = try records.add(
                RemoteLayer(key: pinned, repository: Self.app), parent: nil, claim: claim)
            let fourth = try records.add(Self.layer("a"), parent: first, claim: claim)
            #expect(Set([first, second, third, fourth]).count == 4)
            #expect(try records.find(first)?.layers == [Self.layer("a")])
            #expect(try records.find(second)?.layers == [Self.layer("b")])
            #expect(try records.find(third)?.layers.map(\.key) == [pinned])
        }
    }

    @Test("remembers the last sixteen repositories of a layer, the last one first")
    func remembersRepositories() throws {
        try Self.withRecords { (records, _) throws in
            let chain = try records.add(Self.layer("a"), parent: nil, claim: Self.digest("1"))
            _ = try records.add(Self.layer("a", in: Self.other), parent: nil, claim: Self.digest("1"))
            #expect(try records.repositories(of: Self.key("a")) == [Self.other, Self.app])
            _ = try records.add(Self.layer("a"), parent: nil, claim: Self.digest("1"))
            #expect(try records.repositories(of: Self.key("a")) == [Self.app, Self.other])
            #expect(try records.find(chain)?.layers == [Self.layer("a")])
            for number in 0..<20 {
                let repository = Repository(host: "\(number).example", name: "x")
                _ = try records.add(Self.layer("a", in: repository), parent: nil, claim: Self.digest("1"))
            }
            let hosts = try records.repositories(of: Self.key("a")).map(\.host)
            #expect(hosts == (4..<20).reversed().map { "\($0).example" })
        }
    }

    @Test("does not find a chain whose parent is unknown")
    func missesChainWithoutParent() throws {
        try Self.withRecords { (records, _) throws in
            let unknown = ChainKey(parent: nil, layer: Self.key("a"))
            let top = try records.add(Self.layer("b"), parent: unknown, claim: Self.digest("2"))
            #expect(try records.find(top) == nil)
            #expect(try records.find(unknown) == nil)
        }
    }

    @Test("gives a chain a slot that no other chain gets before the next boot")
    func givesSlots() throws {
        try withTemporaryDirectory { directory in
            func withRecords(boot: String, _ body: (ChainRecords) throws -> Void) throws {
                let state = try StateDatabase(root: directory, bootIdentifier: boot)
                try body(ChainRecords(state))
                try state.close()
            }
            var chains: [ChainKey] = []
            try withRecords(boot: "one") { (records) throws in
                for name in ["a", "b", "c"] {
                    chains.append(try records.add(Self.layer(name), parent: nil, claim: Self.digest(name)))
                }
                #expect(try records.slot(of: chains[1]) == 1, "only a mounted chain takes a slot")
                #expect(try records.slot(of: chains[2]) == 2)
                #expect(try records.slot(of: chains[1]) == 1)
                #expect(try records.remove(chains[2]))
            }
            try withRecords(boot: "one") { (records) throws in
                #expect(try records.slot(of: chains[1]) == 1)
                #expect(try records.slot(of: chains[0]) == 3)
            }
            try withRecords(boot: "two") { (records) throws in
                #expect(try records.slot(of: chains[0]) == 1)
                #expect(try records.slot(of: chains[1]) == 2)
            }
        }
    }

    @Test("lists a removed chain's layer only when no other chain has it")
    func listsOrphans() throws {
        try Self.withRecords { (records, _) throws in
            let bottom = try records.add(Self.layer("a"), parent: nil, claim: Self.digest("1"))
            let top = try records.add(Self.layer("a"), parent: bottom, claim: Self.digest("2"))
            #expect(try !records.remove(bottom), "another chain stands on it")
            #expect(try records.remove(top))
            #expect(try records.remove(top), "removing is idempotent")
            #expect(try records.removedLayers() == [])
            #expect(try records.remove(bottom))
            #expect(try records.removedLayers() == [Self.key("a")])
            #expect(try records.repositories(of: Self.key("a")).isEmpty)
            _ = try records.add(Self.layer("a"), parent: nil, claim: Self.digest("1"))
            #expect(try records.removedLayers() == [], "a chain has the layer again")
            #expect(try records.remove(bottom))
            try records.forget(layer: Self.key("a"))
            #expect(try records.removedLayers() == [])
        }
    }

    @Test("keeps a chain on which a snapshot stands")
    func keepsHeldChain() throws {
        try Self.withRecords { (records, state) throws in
            let chain = try records.add(Self.layer("a"), parent: nil, claim: Self.digest("1"))
            let snapshots = SnapshotRecords(state)
            let record = try snapshots.createRemote(
                RemoteIdentity(chain: chain, layer: Self.key("a")), parent: "", labels: [:],
                usage: SnapshotUsage(size: 1, inodes: 1))
            #expect(try !records.remove(chain))
            #expect(try records.find(chain) != nil)
            try snapshots.remove(key: record.key)
            #expect(try records.remove(chain))
            #expect(try records.find(chain) == nil)
        }
    }

    @Test("a chain that images state under two IDs has two snapshots, and each keeps its claim")
    func separatesClaims() throws {
        try Self.withRecords { (records, state) throws in
            let snapshots = SnapshotRecords(state)
            let chain = try records.add(Self.layer("a"), parent: nil, claim: Self.digest("1"))
            func create(_ claim: Digest) throws -> SnapshotRecord {
                try snapshots.createRemote(
                    RemoteIdentity(chain: chain, layer: Self.key("a")), parent: "",
                    labels: ["containerd.io/snapshot.ref": claim.description],
                    usage: SnapshotUsage(size: 1, inodes: 1))
            }
            let (one, two) = (try create(Self.digest("1")), try create(Self.digest("2")))
            #expect(one.id != two.id && one.claim == Self.digest("1") && two.claim == Self.digest("2"))
            #expect(try create(Self.digest("1")).id == one.id)
            let claims = try records.claims(onChainsWith: Self.key("a"))
            #expect(Set(claims.map(\.chainID)) == [Self.digest("1"), Self.digest("2")])
            #expect(claims.allSatisfy { $0.chain == chain })
        }
    }

    @Test("knows which diff IDs images state for a layer") func knowsStatedDiffIDs() throws {
        try Self.withRecords { (records, _) throws in
            let (below, above) = (Self.digest("diff 1"), Self.digest("diff 2"))
            let bottom = try records.add(Self.layer("a"), parent: nil, claim: below)
            let claim = ImageConfiguration.chainID(of: above, on: below)
            _ = try records.add(Self.layer("b"), parent: bottom, claim: claim)
            #expect(try records.isStated(below, of: Self.key("a")))
            #expect(try records.isStated(above, of: Self.key("b")))
            #expect(try !records.isStated(above, of: Self.key("a")))
            #expect(try !records.isStated(below, of: Self.key("b")))
            #expect(try !records.isStated(below, of: Self.key("c")))
        }
    }

    @Test("gives the label by which containerd finds a snapshot to the chain that was prepared last")
    func movesReference() throws {
        try Self.withRecords { (records, state) throws in
            let snapshots = SnapshotRecords(state)
            let labels = ["containerd.io/snapshot.ref": "sha256:claimed"]
            func create(_ name: String) throws -> SnapshotRecord {
                let chain = try records.add(Self.layer(name), parent: nil, claim: Self.digest("1"))
                return try snapshots.createRemote(
                    RemoteIdentity(chain: chain, layer: Self.key(name)), parent: "", labels: labels,
                    usage: SnapshotUsage(size: 1, inodes: 1))
            }
            let (first, second) = (try create("a"), try create("b"))
            #expect(first.key != second.key)
            #expect(try snapshots.committed(ref: "sha256:claimed", parent: nil)?.key == second.key)
            #expect(try snapshots.record(key: first.key).labels == [:])
            #expect(try create("a").key == first.key)
            #expect(try snapshots.committed(ref: "sha256:claimed", parent: nil)?.key == first.key)
            #expect(try snapshots.record(key: first.key).labels == labels)
            #expect(try snapshots.record(key: second.key).labels == [:])
        }
    }

    @Test("lists registries, the latest first")
    func listsRegistries() throws {
        try Self.withRecords { (records, _) throws in
            for (number, host) in ["a.example", "b.example", "c.example", "a.example"].enumerated() {
                let layer = Self.layer("\(number)", in: Repository(host: host, name: "x"))
                _ = try records.add(layer, parent: nil, claim: Self.digest("\(number)"))
            }
            #expect(try records.upstreams(limit: 2) == ["a.example", "c.example"])
        }
    }

    @Test("the chains of local snapshots are known after an upgrade") func migratesBases() throws {
        try withTemporaryDirectory { directory in
            var keys: [String] = []
            var bases: [ChainKey?] = []
            // The database stays locked as long as this object lives.
            do {
                let state = try StateDatabase(root: directory)
                let snapshots = SnapshotRecords(state)
                let chain = try ChainRecords(state).add(Self.layer("a"), parent: nil, claim: Self.digest("1"))
                let remote = try snapshots.createRemote(
                    RemoteIdentity(chain: chain, layer: Self.key("a")), parent: "", labels: [:],
                    usage: SnapshotUsage(size: 0, inodes: 0))
                for (name, parent) in [("local", remote.key), ("container", "local"), ("other", "")] {
                    _ = try snapshots.create(key: name + ".new", parent: parent, kind: .active, labels: [:]) { _, _ in }
                    try snapshots.commit(name: name, key: name + ".new", labels: [:], parent: "")
                }
                keys = [remote.key, "local", "container", "other"]
                bases = try keys.map { try snapshots.record(key: $0).base }
                #expect(bases == [nil, chain, chain, nil])
                try state.close()
            }
            let queue = try DatabaseQueue(path: directory + "/state.db")
            try queue.write { database in
                try database.execute(
                    sql: """
                        DELETE FROM grdb_migrations WHERE identifier = 'bases';
                        DROP INDEX snapshot_base;
                        ALTER TABLE snapshot DROP COLUMN base;
                        """)
            }
            try queue.close()
            let state = try StateDatabase(root: directory)
            let snapshots = SnapshotRecords(state)
            #expect(try keys.map { try snapshots.record(key: $0).base } == bases)
            try state.close()
        }
    }
}
