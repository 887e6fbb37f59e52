public import Base
public import ContentStore
import GRDB
public import Registry

/// A layer, and a repository that contains the layer's blob.
public struct RemoteLayer: Sendable, Hashable {
    public let key: LayerKey
    public let repository: Repository

    public init(key: LayerKey, repository: Repository) {
        self.key = key
        self.repository = repository
    }
}

/// The record of a chain.
public struct ChainRecord: Sendable {
    /// The chain ID that the first image with this chain stated.
    public let claim: Digest
    /// The layers, bottom first, each with the repository that ``ChainRecords/add(_:parent:claim:)`` recorded last for
    /// the layer.
    public let layers: [RemoteLayer]
}

/// The records of remote chains. A remote chain is a stack of layers whose files are fetched on demand. With these
/// records, the daemon can mount chains after a restart without the network.
///
/// A chain is a layer on top of a parent chain, so a chain of n layers takes n rows. A chain gets a *slot* when it is
/// mounted for the first time since the machine booted. The slot is a number: the upper part of the FUSE node IDs of
/// the chain's files. The chain keeps the slot until its record is deleted or the machine boots again. No other chain
/// gets the slot before the next boot (`AUTOINCREMENT`), because the kernel may remember nodes of a deleted chain.
public struct ChainRecords: Sendable {
    /// The largest slot. `LazyFileSystem` has the same limit (`NodeID.maximumSlot`).
    public static let maximumSlot: UInt32 = 1 << 20 - 1
    /// The maximum number of layers in one chain. In practice, containerd allows at most 128.
    static let maximumDepth = 1024
    /// The maximum number of repositories that are recorded for a layer. A further repository replaces the least
    /// recently recorded one.
    static let maximumRepositories = 16

    let state: StateDatabase

    /// Creates an accessor for the records in `state`.
    public init(_ state: StateDatabase) {
        self.state = state
    }

    /// Records the chain that consists of `layer` on top of `parent`. Also records that the repository in `layer`
    /// contains the layer's blob.
    ///
    /// - Parameters:
    ///   - parent: the chain below; `nil` for the bottom layer.
    ///   - claim: the chain ID that the image's configuration states for the chain.
    /// - Returns: the chain's key.
    public func add(
        _ layer: RemoteLayer, parent: ChainKey?, claim: Digest
    ) throws(NodeDatabaseError) -> ChainKey {
        let chain = ChainKey(parent: parent, layer: layer.key)
        try state.write("recording chain \(chain)") { database in
            try database.execute(
                sql: "INSERT OR IGNORE INTO chains (key, parent, layer, claim) VALUES (?, ?, ?, ?)",
                arguments: [chain.description, parent?.description, layer.key.description, claim.description])
            try Self.add(layer.repository, of: layer.key.description, database)
            try database.execute(
                sql: "DELETE FROM removed_layer WHERE layer = ?", arguments: [layer.key.description])
        }
        return chain
    }

    private static func add(_ repository: Repository, of layer: String, _ database: Database) throws {
        let turn = try Int64.fetchOne(
            database, sql: "SELECT ifnull(max(turn), 0) + 1 FROM locations WHERE layer = ?", arguments: [layer])
        try database.execute(
            sql: "INSERT OR REPLACE INTO locations (layer, host, repository, turn) VALUES (?, ?, ?, ?)",
            arguments: [layer, repository.host, repository.name, turn])
        try database.execute(
            sql: """
                DELETE FROM locations WHERE layer = ?1 AND turn <= (
                    SELECT turn FROM locations WHERE layer = ?1 ORDER BY turn DESC
                    LIMIT 1 OFFSET \(maximumRepositories))
                """, arguments: [layer])
    }

    /// Returns the record of `chain`; `nil` if the chain, or a chain below it, has no record.
    public func find(_ chain: ChainKey) throws(NodeDatabaseError) -> ChainRecord? {
        try state.read("looking up chain \(chain)") { database in
            // One query for the whole chain: containerd asks for one layer after another, and each time about the chain
            // so far.
            let statement = try database.cachedStatement(
                sql: """
                    WITH RECURSIVE stack (key, parent, layer, claim, depth) AS (
                        SELECT key, parent, layer, claim, 1 FROM chains WHERE key = ?
                        UNION ALL
                        SELECT c.key, c.parent, c.layer, c.claim, depth + 1 FROM chains c JOIN stack ON c.key = stack.parent
                        WHERE depth < \(Self.maximumDepth)
                    )
                    SELECT parent, layer, claim, (
                        SELECT host || char(10) || repository FROM locations WHERE layer = stack.layer
                        ORDER BY turn DESC LIMIT 1
                    ) AS location
                    FROM stack ORDER BY depth DESC
                    """)
            let rows = try Row.fetchAll(statement, arguments: [chain.description])
            // The bottom layer has no parent, unless a chain below has no record.
            guard let bottom = rows.first, let top = rows.last, (bottom["parent"] as String?) == nil,
                let claim = Digest(top["claim"] as String)
            else { return nil }
            var layers: [RemoteLayer] = []
            for row in rows {
                let location = (row["location"] as String?)?.split(separator: "\n").map(String.init) ?? []
                guard let layer = LayerKey(text: row["layer"]), location.count == 2 else { return nil }
                layers.append(
                    RemoteLayer(key: layer, repository: Repository(host: location[0], name: location[1])))
            }
            return ChainRecord(claim: claim, layers: layers)
        }
    }

    /// Returns the slot of `chain`. If the chain has none, assigns the next free slot to it.
    ///
    /// - Throws: `.storage` if there is no free slot before the next boot.
    public func slot(of chain: ChainKey) throws(NodeDatabaseError) -> UInt32 {
        try state.write("giving chain \(chain) a slot") { database in
            let known = try Int64.fetchOne(
                database, sql: "SELECT slot FROM slots WHERE chain = ?", arguments: [chain.description])
            if known == nil {
                try database.execute(sql: "INSERT INTO slots (chain) VALUES (?)", arguments: [chain.description])
            }
            guard let number = UInt32(exactly: known ?? database.lastInsertedRowID), number <= Self.maximumSlot else {
                throw NodeDatabaseError(
                    .storage, "\(Self.maximumSlot) chains have been mounted since the node booted: reboot it")
            }
            return number
        }
    }

    /// Returns the repositories that have the blob of `layer`. The most recently recorded one comes first.
    public func repositories(of layer: LayerKey) throws(NodeDatabaseError) -> [Repository] {
        try state.read("looking up layer \(layer)") { try Self.repositories(of: layer, $0) }
    }

    private static func repositories(of layer: LayerKey, _ database: Database) throws -> [Repository] {
        try Row.fetchAll(
            database, sql: "SELECT host, repository FROM locations WHERE layer = ? ORDER BY turn DESC",
            arguments: [layer.description]
        ).map { Repository(host: $0["host"], name: $0["repository"]) }
    }

    /// Returns the hosts of at most `limit` registries that have layers of recorded chains. The registries of the most
    /// recently recorded chains come first.
    public func upstreams(limit: Int) throws(NodeDatabaseError) -> [String] {
        try state.read("listing registries") { database in
            try String.fetchAll(
                database,
                sql: """
                    SELECT l.host FROM locations l JOIN chains c ON c.layer = l.layer
                    GROUP BY l.host ORDER BY max(c.number) DESC LIMIT ?
                    """, arguments: [limit])
        }
    }

    /// Deletes the record of `chain`. Keeps the record if a remote snapshot represents the chain, if a local snapshot
    /// was created on the chain, or if the chain is the parent of another chain. If no other chain contains the top
    /// layer of a deleted chain, adds that layer to ``removedLayers()``.
    ///
    /// - Returns: false if the record stays.
    public func remove(_ chain: ChainKey) throws(NodeDatabaseError) -> Bool {
        try state.write("forgetting chain \(chain)") { database in
            let above = try Int.fetchOne(
                database, sql: "SELECT 1 FROM chains WHERE parent = ? LIMIT 1", arguments: [chain.description])
            guard try above == nil && !SnapshotRecords.holds(database, chain: chain) else { return false }
            let layer = try String.fetchOne(
                database, sql: "DELETE FROM chains WHERE key = ? RETURNING layer", arguments: [chain.description])
            guard let layer else { return true }
            try database.execute(sql: "DELETE FROM slots WHERE chain = ?", arguments: [chain.description])
            let others = try Int.fetchOne(
                database, sql: "SELECT count(*) FROM chains WHERE layer = ?", arguments: [layer])
            guard others == 0 else { return true }
            try database.execute(sql: "DELETE FROM locations WHERE layer = ?", arguments: [layer])
            try database.execute(sql: "INSERT OR IGNORE INTO removed_layer VALUES (?)", arguments: [layer])
            return true
        }
    }

    /// Returns the chains that no snapshot uses. A remote snapshot uses the chain that it represents, a local one the
    /// chain on which it was created, and both use every chain below. A container may still run on a chain after the
    /// remote snapshot below got another one.
    public func unused() throws(NodeDatabaseError) -> [ChainKey] {
        try state.read("looking for chains that nothing uses") { database in
            try String.fetchAll(
                database,
                sql: """
                    WITH RECURSIVE used (key) AS (
                        SELECT chain FROM snapshot WHERE chain IS NOT NULL
                        UNION
                        SELECT base FROM snapshot WHERE base IS NOT NULL
                        UNION
                        SELECT c.parent FROM chains c JOIN used ON c.key = used.key WHERE c.parent IS NOT NULL
                    )
                    SELECT key FROM chains WHERE key NOT IN (SELECT key FROM used) ORDER BY number DESC
                    """
            ).compactMap { Digest($0).map(ChainKey.init(id:)) }
        }
    }

    /// Returns the keys of all chains and of their layers.
    public func all() throws(NodeDatabaseError) -> (chains: Set<ChainKey>, layers: Set<LayerKey>) {
        try state.read("listing chains") { database in
            let rows = try Row.fetchAll(database, sql: "SELECT key, layer FROM chains")
            return (
                Set(rows.compactMap { Digest($0["key"] as String).map(ChainKey.init(id:)) }),
                Set(rows.compactMap { LayerKey(text: $0["layer"]) })
            )
        }
    }

    /// Returns the layers that no chain contains any longer and that are not deleted yet.
    public func removedLayers() throws(NodeDatabaseError) -> [LayerKey] {
        try state.read("looking for layers that can be deleted") { database in
            try String.fetchAll(database, sql: "SELECT layer FROM removed_layer").compactMap { LayerKey(text: $0) }
        }
    }

    /// Removes `layer` from ``removedLayers()``. Call this after the layer has been deleted.
    public func forget(layer: LayerKey) throws(NodeDatabaseError) {
        try state.write("forgetting layer \(layer)") { database in
            try database.execute(sql: "DELETE FROM removed_layer WHERE layer = ?", arguments: [layer.description])
        }
    }
}
