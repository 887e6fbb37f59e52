public import Base
import Concurrency
public import ContentStore
import GRDB

extension SnapshotRecords {
    /// Records a new active snapshot or view on top of `parent`; an empty `parent` means none.
    ///
    /// - Parameter attach: runs inside the transaction, with the new record and the stack below it. The caller can
    ///   create the snapshot's directory here. If `attach` throws, the transaction is rolled back.
    /// - Throws: `alreadyExists` if `key` has a record; `notFound` if `parent` has none; `invalidArgument` if `parent`
    ///   is not committed.
    public func create(
        key: String, parent: String, kind: SnapshotRecord.Kind, labels: [String: String],
        attach: (SnapshotRecord, [StackEntry]) throws -> Void
    ) throws(NodeDatabaseError) -> (record: SnapshotRecord, stack: [StackEntry]) {
        try state.write("creating snapshot \(key)") { database in
            let below = try Self.requireParent(database, key: parent)
            guard try Self.fetch(database, key: key) == nil else {
                throw NodeDatabaseError(.alreadyExists, "snapshot \(key): already exists")
            }
            let now = SystemTime().nanosecondsSince1970
            var record = SnapshotRecord(
                id: 0, key: key, parent: below?.id, parentKey: parent, kind: kind, labels: labels, created: now,
                updated: now)
            let stack = try Self.ancestors(database, from: record.parent).map(\.entry)
            if case .remote(let chain, _)? = stack.last { record.base = chain }
            try Self.insert(database, &record)
            try attach(record, stack)
            return (record, stack)
        }
    }

    /// Returns the record of the remote snapshot of `identity` on top of `parent`. If there is none, creates the record
    /// with a key that Rivulet chooses.
    ///
    /// The label `snapshot.ref` in `labels` is the chain ID that the image states. Each stated ID has a snapshot of its
    /// own, even if the layers are the same. The record keeps the ID as ``SnapshotRecord/claim``.
    ///
    /// Any other remote snapshot on `parent` with the same ID loses the label, but keeps the claim. The reason is that
    /// containerd looks a remote snapshot up by this label, and images with different layers may state the same ID.
    public func createRemote(
        _ identity: RemoteIdentity, parent: String, labels: [String: String], usage: SnapshotUsage
    ) throws(NodeDatabaseError) -> SnapshotRecord {
        try state.write("recording \(identity.chain)") { database in
            let below = try Self.requireParent(database, key: parent)
            let ref = labels[SnapshotLabels.ref]
            let claim = ref.flatMap { Digest($0) }
            let statement = try database.cachedStatement(
                sql:
                    "SELECT \(Self.columns) FROM \(Self.tables) WHERE s.chain = ? AND s.parent IS ? AND s.claim IS ? LIMIT 1"
            )
            let present = try Row.fetchOne(
                statement, arguments: [identity.chain.description, below?.id, claim?.description]
            )
            .map(Self.record)
            if let ref { try Self.release(ref, database, parent: below?.id, except: present?.id) }
            if var present {
                guard present.labels[SnapshotLabels.ref] != ref else { return present }
                present.labels[SnapshotLabels.ref] = ref
                try Self.write(present.labels, of: present.id, database)
                return present
            }
            let now = SystemTime().nanosecondsSince1970
            var record = SnapshotRecord(
                id: 0, key: try Self.freeName(database, for: ref ?? identity.chain.description), parent: below?.id,
                parentKey: parent, kind: .committed, labels: labels, created: now, updated: now, usage: usage,
                remote: identity, claim: claim)
            try Self.insert(database, &record)
            return record
        }
    }

    /// Gives the remote snapshot of a chain, and the snapshots below it, other layers. The keys, labels and claims stay
    /// as they are, because containerd knows the snapshots by them. Local snapshots above keep the old chain
    /// (``SnapshotRecord/base``).
    ///
    /// - Parameters:
    ///   - claim: the claim of the top snapshot; see ``SnapshotRecord/claim``.
    ///   - layers: the new layers, bottom first, one for each snapshot.
    public func replaceLayers(
        ofChain chain: ChainKey, claim: Digest?, with layers: [RemoteIdentity]
    ) throws(NodeDatabaseError) {
        try state.write("replacing chain \(chain)") { database in
            var next = try Int64.fetchOne(
                database, sql: "SELECT id FROM snapshot WHERE chain = ? AND claim IS ?",
                arguments: [chain.description, claim?.description])
            var replaced = 0
            for layer in layers.reversed() {
                guard let id = next else { break }
                let isKnown = try Int.fetchOne(
                    database, sql: "SELECT 1 FROM chains WHERE key = ?", arguments: [layer.chain.description])
                guard isKnown != nil else {
                    throw NodeDatabaseError(.failedPrecondition, "chain \(layer.chain) was deleted meanwhile")
                }
                try database.execute(
                    sql: "UPDATE snapshot SET chain = ?, layer = ? WHERE id = ? AND chain IS NOT NULL",
                    arguments: [layer.chain.description, layer.layer.description, id])
                next = try Int64.fetchOne(database, sql: "SELECT parent FROM snapshot WHERE id = ?", arguments: [id])
                replaced += 1
            }
            guard replaced == layers.count, next == nil else {
                throw NodeDatabaseError(
                    .failedPrecondition, "the snapshots of chain \(chain) are not as many as its \(layers.count) layers"
                )
            }
            try database.execute(
                sql: "INSERT OR IGNORE INTO removed_chain VALUES (?)", arguments: [chain.description])
        }
    }

    /// Removes the label `snapshot.ref` from all other remote snapshots on `parent` whose label has the value `ref`.
    private static func release(_ ref: String, _ database: Database, parent: Int64?, except id: Int64?) throws {
        let others = try Row.fetchAll(
            database,
            sql: """
                SELECT \(columns) FROM \(tables)
                WHERE s.ref = ? AND s.parent IS ? AND s.chain IS NOT NULL AND s.id IS NOT ?
                """, arguments: [ref, parent, id]
        ).map(record)
        for other in others {
            var labels = other.labels
            labels[SnapshotLabels.ref] = nil
            try write(labels, of: other.id, database)
        }
    }

    private static func write(_ labels: [String: String], of id: Int64, _ database: Database) throws {
        try database.execute(
            sql: "UPDATE snapshot SET labels = ?, ref = ? WHERE id = ?",
            arguments: [try text(of: labels), labels[SnapshotLabels.ref], id])
    }

    /// Returns an unused key for a remote snapshot: `plain` if it is unused, otherwise `plain` with a number. Another
    /// snapshot of the same chain ID may already use `plain`, on another parent or with other layers.
    private static func freeName(_ database: Database, for plain: String) throws -> String {
        if try fetch(database, key: plain) == nil { return plain }
        for number in 2...1000 {
            let name = "\(plain)-\(number)"
            if try fetch(database, key: name) == nil { return name }
        }
        throw NodeDatabaseError(.storage, "too many snapshots of chain \(plain)")
    }

    private static func insert(_ database: Database, _ record: inout SnapshotRecord) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO snapshot
                    (key, parent, kind, created, updated, labels, ref, size, inodes, chain, layer, claim, base)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        try statement.execute(arguments: [
            record.key, record.parent, record.kind.rawValue, record.created, record.updated,
            try text(of: record.labels), record.labels[SnapshotLabels.ref], record.usage?.size, record.usage?.inodes,
            record.remote?.chain.description, record.remote?.layer.description, record.claim?.description,
            record.base?.description,
        ])
        record.id = database.lastInsertedRowID
    }

    /// Commits the active snapshot `key` as `name`, and replaces the snapshot's labels with `labels`.
    ///
    /// A snapshot without a parent gets `parent` as its parent, unless `parent` is empty. For a snapshot with a parent,
    /// `parent` must be empty or the key of that parent.
    public func commit(
        name: String, key: String, labels: [String: String], parent: String
    ) throws(NodeDatabaseError) {
        try state.write("committing \(key) as \(name)") { database in
            guard try Self.fetch(database, key: name) == nil else {
                throw NodeDatabaseError(.alreadyExists, "snapshot \(name): already exists")
            }
            let record = try Self.require(database, key: key)
            guard record.kind == .active else {
                throw NodeDatabaseError(.failedPrecondition, "snapshot \(key) is not active")
            }
            var below = record.parent
            if !parent.isEmpty {
                guard record.parent == nil || record.parentKey == parent else {
                    throw NodeDatabaseError(
                        .invalidArgument, "snapshot \(key) is on \(record.parentKey) and cannot be put on \(parent)")
                }
                let rebased = try Self.require(database, key: parent, as: "parent snapshot")
                guard rebased.kind == .committed else {
                    throw NodeDatabaseError(.failedPrecondition, "parent snapshot \(parent) is not committed")
                }
                below = rebased.id
            }
            let now = SystemTime().nanosecondsSince1970
            let statement = try database.cachedStatement(
                sql: """
                    UPDATE snapshot SET key = ?, parent = ?, kind = ?, created = ?, updated = ?, labels = ?, ref = ?
                    WHERE id = ?
                    """)
            try statement.execute(arguments: [
                name, below, SnapshotRecord.Kind.committed.rawValue, now, now, try Self.text(of: labels),
                labels[SnapshotLabels.ref], record.id,
            ])
        }
    }

    /// Deletes the record of `key`, and adds its directory or chain to the list that ``removed(limit:)`` returns.
    ///
    /// - Throws: `notFound` if there is no such record; `failedPrecondition` if the snapshot is the parent of another.
    public func remove(key: String) throws(NodeDatabaseError) {
        try state.write("removing snapshot \(key)") { database in
            let record = try Self.require(database, key: key)
            let children = try database.cachedStatement(sql: "SELECT key FROM snapshot WHERE parent = ? LIMIT 1")
            if let child = try String.fetchOne(children, arguments: [record.id]) {
                // containerd's test suite expects the word "remove".
                throw NodeDatabaseError(
                    .failedPrecondition, "cannot remove snapshot \(key): it is the parent of \(child)")
            }
            try Self.delete(database, record)
        }
    }

    /// Deletes the record of the remote snapshot with number `id`, unless the snapshot has children. Use this for a
    /// snapshot whose layers can no longer be opened.
    ///
    /// - Returns: true if the record was deleted.
    public func removeRemoteIfUnused(id: Int64) throws(NodeDatabaseError) -> Bool {
        try state.write("removing snapshot \(id)") { database in
            let row = try Row.fetchOne(
                database,
                sql: """
                    SELECT \(Self.columns) FROM \(Self.tables)
                    WHERE s.id = ? AND NOT EXISTS (SELECT 1 FROM snapshot c WHERE c.parent = s.id)
                    """, arguments: [id])
            guard let record = try row.map(Self.record), record.remote != nil else { return false }
            try Self.delete(database, record)
            return true
        }
    }

    private static func delete(_ database: Database, _ record: SnapshotRecord) throws {
        try database.cachedStatement(sql: "DELETE FROM snapshot WHERE id = ?").execute(arguments: [record.id])
        if let remote = record.remote {
            try database.cachedStatement(sql: "INSERT OR IGNORE INTO removed_chain VALUES (?)")
                .execute(arguments: [remote.chain.description])
        } else {
            try database.cachedStatement(sql: "INSERT OR IGNORE INTO removed_directory VALUES (?)")
                .execute(arguments: [record.id])
        }
    }

    /// Applies `change` to the labels of the snapshot `key`, and returns the changed record. A label that gets an empty
    /// value is deleted.
    public func update(
        key: String, _ change: (inout [String: String]) -> Void
    ) throws(NodeDatabaseError) -> SnapshotRecord {
        try state.write("updating snapshot \(key)") { database in
            var record = try Self.require(database, key: key)
            change(&record.labels)
            record.labels = SnapshotLabels.stored(record.labels)
            try SnapshotLabels.check(record.labels)
            record.updated = SystemTime().nanosecondsSince1970
            let statement = try database.cachedStatement(
                sql: "UPDATE snapshot SET labels = ?, ref = ?, updated = ? WHERE id = ?")
            try statement.execute(arguments: [
                try Self.text(of: record.labels), record.labels[SnapshotLabels.ref], record.updated, record.id,
            ])
            return record
        }
    }

    /// Records the disk usage of a committed snapshot, unless a usage is already recorded.
    public func setUsage(id: Int64, _ usage: SnapshotUsage) throws(NodeDatabaseError) {
        try state.write("recording the usage of snapshot \(id)") { database in
            try database.cachedStatement(
                sql: "UPDATE snapshot SET size = ?, inodes = ? WHERE id = ? AND kind = 3 AND size IS NULL"
            ).execute(arguments: [usage.size, usage.inodes, id])
        }
    }
}
