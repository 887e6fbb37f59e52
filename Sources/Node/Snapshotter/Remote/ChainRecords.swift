import Base
import GRDB
import Registry

/// One layer of a chain, and where its blob can be fetched.
struct RemoteLayer: Sendable, Hashable {
    let digest: Digest
    let repository: Repository
}

/// Which layers each remote chain consists of, kept in the state database so that a restart can mount without the network.
///
/// A chain is a layer on a parent chain, so a chain of n layers is n rows. The row's number is the chain's *slot*: the
/// upper half of its node ids, the same for as long as the chain is known and not given to another chain afterwards
/// (`AUTOINCREMENT`), because the kernel may remember nodes of a chain that is gone.
struct ChainRecords: Sendable {
    /// Slots are the upper 24 bits of a node id; 0 is the mount's own.
    static let maximumSlot: Int64 = 1 << 24 - 1
    /// More layers than this in one chain are not believed: containerd itself stops at 128 in practice.
    static let maximumDepth = 1024

    private let database: any DatabaseWriter

    /// Records in `database`, whose migrator has run ``register(in:)``.
    init(database: any DatabaseWriter) {
        self.database = database
    }

    /// Adds the table to the migrations of the state database.
    static func register(in migrator: inout DatabaseMigrator) {
        migrator.registerMigration("chains") { database in
            try database.execute(
                sql: """
                    CREATE TABLE chains (
                        slot INTEGER PRIMARY KEY AUTOINCREMENT,
                        id TEXT NOT NULL UNIQUE,
                        parent TEXT,
                        layer TEXT NOT NULL,
                        host TEXT NOT NULL,
                        repository TEXT NOT NULL
                    ) STRICT;
                    CREATE INDEX chains_by_layer ON chains (layer);
                    """)
        }
    }

    /// Records that `chain` is `layer` on `parent`, unless it is known already.
    ///
    /// - Returns: whether the record, old or new, says exactly this layer on this parent. The repository may differ: a
    ///   blob is the same wherever it comes from.
    func add(_ chain: Digest, parent: Digest?, layer: RemoteLayer) throws -> Bool {
        try database.write { database in
            if let row = try Row.fetchOne(
                database, sql: "SELECT parent, layer FROM chains WHERE id = ?", arguments: [chain.hex])
            {
                return row["parent"] as String? == parent?.hex && row["layer"] as String == layer.digest.hex
            }
            try database.execute(
                sql: "INSERT INTO chains (id, parent, layer, host, repository) VALUES (?, ?, ?, ?, ?)",
                arguments: [
                    chain.hex, parent?.hex, layer.digest.hex, layer.repository.host, layer.repository.name,
                ])
            return true
        }
    }

    /// The slot and the layers of `chain`, bottom first; `nil` when it, or one below it, is not known.
    func find(_ chain: Digest) throws -> (slot: UInt32, layers: [RemoteLayer])? {
        try database.read { database in
            var layers: [RemoteLayer] = []
            var slot: UInt32?
            var next: String? = chain.hex
            while let id = next {
                guard layers.count < Self.maximumDepth,
                    let row = try Row.fetchOne(
                        database, sql: "SELECT slot, parent, layer, host, repository FROM chains WHERE id = ?",
                        arguments: [id]),
                    let digest = Digest(hex: (row["layer"] as String).utf8)
                else { return nil }
                if slot == nil {
                    let number: Int64 = row["slot"]
                    guard number > 0, number <= Self.maximumSlot else { return nil }
                    slot = UInt32(number)
                }
                layers.append(
                    RemoteLayer(digest: digest, repository: Repository(host: row["host"], name: row["repository"])))
                next = row["parent"]
            }
            return slot.map { ($0, layers.reversed()) }
        }
    }

    /// The registries that layers are from, at most `limit`, those of the latest first.
    func upstreams(limit: Int) throws -> [String] {
        try database.read { database in
            try String.fetchAll(
                database, sql: "SELECT host FROM chains GROUP BY host ORDER BY max(slot) DESC LIMIT ?",
                arguments: [limit])
        }
    }

    /// Forgets `chain`.
    ///
    /// - Returns: its layer, when no other chain has that layer.
    func remove(_ chain: Digest) throws -> Digest? {
        try database.write { database in
            let layer = try String.fetchOne(
                database, sql: "DELETE FROM chains WHERE id = ? RETURNING layer", arguments: [chain.hex])
            guard let layer else { return nil }
            let others = try Int.fetchOne(
                database, sql: "SELECT count(*) FROM chains WHERE layer = ?", arguments: [layer])
            return others == 0 ? Digest(hex: layer.utf8) : nil
        }
    }
}
