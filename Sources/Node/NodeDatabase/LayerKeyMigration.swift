import Base
import ContentStore
import GRDB

/// The migration of a state database that named layers by blob, chains by chain ID, and profiles by chain ID without
/// the repository.
///
/// The layers of such a database get the pin ``LayerKey/Pin/inherited``, as in the content store. So the existing
/// chains can be mounted as before, and no new image shares their layers.
enum LayerKeyMigration {
    /// The chains before the migration, by chain ID in hexadecimal digits.
    private typealias Chains = [String: (parent: String?, layer: LayerKey)]

    /// The maximum number of layers in a chain of the old database.
    private static let maximumDepth = 1024

    static func run(_ database: Database) throws {
        try changeTables(database)
        var chains: Chains = [:]
        for row in try Row.fetchAll(database, sql: "SELECT key, parent, layer FROM chains") {
            guard let blob = Digest(hex: (row["layer"] as String).utf8) else { continue }
            chains[row["key"]] = (row["parent"], LayerKey(blob, .inherited))
        }
        try renameChains(database, chains)
        try renameSnapshots(database, chains)
        try database.execute(sql: "ALTER TABLE chains DROP COLUMN host; ALTER TABLE chains DROP COLUMN repository")
    }

    private static func changeTables(_ database: Database) throws {
        try database.execute(
            sql: """
                ALTER TABLE chains RENAME COLUMN id TO key;
                ALTER TABLE chains RENAME COLUMN slot TO number;
                -- The chain ID that the first image with this chain stated.
                ALTER TABLE chains ADD COLUMN claim TEXT NOT NULL DEFAULT '';

                -- The slots of the chains that have been mounted since the boot with this identifier.
                CREATE TABLE slots (slot INTEGER PRIMARY KEY AUTOINCREMENT, chain TEXT NOT NULL UNIQUE) STRICT;
                CREATE TABLE boot (id TEXT NOT NULL) STRICT;

                CREATE TABLE locations (
                    layer TEXT NOT NULL,
                    host TEXT NOT NULL,
                    repository TEXT NOT NULL,
                    -- Counts up with every change: the largest is the newest, whatever the clock says.
                    turn INTEGER NOT NULL,
                    PRIMARY KEY (layer, host, repository)
                ) STRICT, WITHOUT ROWID;

                -- Layers that no chain contains any longer, until they are deleted.
                CREATE TABLE removed_layer (layer TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

                CREATE TABLE new_profiles (
                    chain TEXT NOT NULL,
                    host TEXT NOT NULL,
                    repository TEXT NOT NULL,
                    -- Counts up with every change: the largest is the newest, whatever the clock says.
                    turn INTEGER NOT NULL,
                    -- As in a profile file.
                    file BLOB NOT NULL,
                    PRIMARY KEY (chain, host, repository)
                ) STRICT;
                INSERT INTO new_profiles SELECT chain, host, repository, turn, file FROM profiles;
                DROP TABLE profiles;
                ALTER TABLE new_profiles RENAME TO profiles;
                CREATE INDEX profiles_by_repository ON profiles (host, repository, turn);
                CREATE UNIQUE INDEX profiles_by_turn ON profiles (turn);
                """)
    }

    private static func renameChains(_ database: Database, _ chains: Chains) throws {
        for row in try Row.fetchAll(database, sql: "SELECT number, key, host, repository FROM chains") {
            let (number, id): (Int64, String) = (row["number"], row["key"])
            guard let chain = chains[id], let key = key(of: id, chains) else {
                // A chain below is missing, so this one could not be mounted either.
                try database.execute(sql: "DELETE FROM chains WHERE number = ?", arguments: [number])
                continue
            }
            try database.execute(
                sql: "UPDATE chains SET key = ?, parent = ?, layer = ?, claim = ? WHERE number = ?",
                arguments: [
                    key.description, chain.parent.flatMap { self.key(of: $0, chains)?.description },
                    chain.layer.description, "sha256:" + id, number,
                ])
            try database.execute(
                sql: "INSERT OR IGNORE INTO locations (layer, host, repository, turn) VALUES (?, ?, ?, ?)",
                arguments: [chain.layer.description, row["host"] as String, row["repository"] as String, number])
        }
    }

    private static func renameSnapshots(_ database: Database, _ chains: Chains) throws {
        for row in try Row.fetchAll(database, sql: "SELECT id, chain, layer FROM snapshot WHERE chain IS NOT NULL") {
            guard let chain = Digest(row["chain"] as String), let blob = Digest(row["layer"] as String) else {
                continue
            }
            // A chain without a record cannot be mounted. Its snapshots still need different names.
            let key = key(of: chain.hex, chains) ?? ChainKey(parent: nil, layer: LayerKey(chain, .inherited))
            try database.execute(
                sql: "UPDATE snapshot SET chain = ?, layer = ? WHERE id = ?",
                arguments: [key.description, LayerKey(blob, .inherited).description, row["id"] as Int64])
        }
        let removed = try String.fetchAll(database, sql: "SELECT chain FROM removed_chain")
        try database.execute(sql: "DELETE FROM removed_chain")
        for chain in removed.compactMap({ Digest($0) }) {
            guard let key = key(of: chain.hex, chains) else { continue }
            try database.execute(
                sql: "INSERT OR IGNORE INTO removed_chain VALUES (?)", arguments: [key.description])
        }
    }

    /// Returns the key of the chain with the chain ID `id`; `nil` if a chain below it is missing.
    private static func key(of id: String, _ chains: Chains) -> ChainKey? {
        var layers: [LayerKey] = []
        var next: String? = id
        while let id = next {
            guard layers.count < maximumDepth, let chain = chains[id] else { return nil }
            layers.append(chain.layer)
            next = chain.parent
        }
        return layers.reversed().reduce(nil) { ChainKey(parent: $0, layer: $1) }
    }
}
