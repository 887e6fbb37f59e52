import Base
import ContentStore
import FoundationEssentials
import GRDB
import Linux
import NodeDatabase
import Registry
import Streaming
import Testing

@Suite("state of version 0.1") struct LayerKeyMigrationTests {
    private static func digest(_ name: String) -> Digest { Digest.of(Array(name.utf8)) }

    /// Turns the database in `directory`, which has no records, back into one without keys, and adds an image of two
    /// layers to it.
    private static func writeOldState(_ directory: String) throws {
        let queue = try DatabaseQueue(path: directory + "/state.db")
        try queue.write { database in
            let (one, two, a, b) = (digest("1"), digest("2"), digest("a"), digest("b"))
            try database.execute(
                sql: """
                    DELETE FROM grdb_migrations WHERE identifier = 'keys';
                    DROP TABLE chains; DROP TABLE locations; DROP TABLE removed_layer; DROP TABLE profiles;
                    DROP TABLE slots; DROP TABLE boot;
                    CREATE TABLE chains (
                        slot INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, parent TEXT,
                        layer TEXT NOT NULL, host TEXT NOT NULL, repository TEXT NOT NULL) STRICT;
                    CREATE INDEX chains_by_layer ON chains (layer);
                    CREATE TABLE profiles (
                        chain TEXT PRIMARY KEY, host TEXT NOT NULL, repository TEXT NOT NULL, turn INTEGER NOT NULL,
                        file BLOB NOT NULL) STRICT;
                    CREATE INDEX profiles_by_repository ON profiles (host, repository, turn);
                    CREATE UNIQUE INDEX profiles_by_turn ON profiles (turn);
                    INSERT INTO chains VALUES (7, '\(one.hex)', NULL, '\(a.hex)', 'registry.example', 'app');
                    INSERT INTO chains VALUES (9, '\(two.hex)', '\(one.hex)', '\(b.hex)', 'registry.example', 'app');
                    INSERT INTO chains VALUES (11, '\(digest("3").hex)', '\(digest("lost").hex)', '\(b.hex)', 'h', 'r');
                    INSERT INTO snapshot (id, key, parent, kind, created, updated, labels, ref, chain, layer)
                        VALUES (1, '\(one)', NULL, 3, 0, 0, '{}', '\(one)', '\(one)', '\(a)');
                    INSERT INTO snapshot (id, key, parent, kind, created, updated, labels, ref, chain, layer)
                        VALUES (2, '\(two)', 1, 3, 0, 0, '{}', '\(two)', '\(two)', '\(b)');
                    INSERT INTO removed_chain VALUES ('\(one)');
                    """)
            let file = try ProfileFile(
                repository: Repository(host: "registry.example", name: "app"), chain: two, profile: Profile(entries: [])
            ).encoded()
            try database.execute(
                sql: "INSERT INTO profiles VALUES (?, 'registry.example', 'app', 1, ?)",
                arguments: [two.hex, Data(file)])
        }
        try queue.close()
    }

    @Test("is read, and its layers are shared by nobody else") func migrates() throws {
        try withTemporaryDirectory { directory in
            do {
                let new = try StateDatabase(root: directory)
                try new.close()
            }
            try Self.writeOldState(directory)
            let state = try StateDatabase(root: directory)
            #expect(state.recovery == nil)
            let layers = ["a", "b"].map { LayerKey(Self.digest($0), .inherited) }
            let bottom = ChainKey(parent: nil, layer: layers[0])
            let top = ChainKey(parent: bottom, layer: layers[1])
            let found = try #require(try ChainRecords(state).find(top))
            #expect(found.layers.map(\.key) == layers)
            #expect(found.layers.map(\.repository.host) == ["registry.example", "registry.example"])
            #expect(found.claim == Self.digest("2"))
            #expect(try ChainRecords(state).find(bottom) != nil)
            let snapshots = SnapshotRecords(state)
            let record = try snapshots.record(key: "\(Self.digest("2"))")
            #expect(record.remote == RemoteIdentity(chain: top, layer: layers[1]))
            #expect(try snapshots.removed(limit: 10).chains == [bottom])
            let repository = Repository(host: "registry.example", name: "app")
            #expect(try ProfileRecords(state).find(Self.digest("2"), repository)?.chain == Self.digest("2"))
            try state.close()
        }
    }
}
