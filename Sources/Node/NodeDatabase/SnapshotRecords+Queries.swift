public import Base
public import ContentStore
import GRDB

/// One entry of the stack below a snapshot. The stack consists of the lower directories of the snapshot's overlay
/// mount.
public enum StackEntry: Sendable, Equatable {
    /// A local snapshot, by its number. It has a directory.
    case local(Int64)
    /// The merged tree of a chain. The tree includes everything below, so this is the last entry of a stack. `claim` is
    /// the chain ID under which containerd knows the snapshot; see ``SnapshotRecord/claim``.
    case remote(ChainKey, claim: Digest?)
}

/// A committed snapshot on which another snapshot is to stand, and everything below.
public struct SnapshotBase: Sendable {
    /// A snapshot of the stack.
    public struct Ancestor: Sendable {
        public let key: String
        /// The value of the label `containerd.io/snapshot.ref`; `nil` if there is none.
        public let ref: String?
        /// The snapshot's entry in the stack.
        public let entry: StackEntry
        /// The chain on which a local snapshot was created; see ``SnapshotRecord/base``.
        public let base: ChainKey?
    }

    /// The snapshots, top first. All are local, except that the list ends at the first remote snapshot: its merged tree
    /// includes everything below.
    public let ancestors: [Ancestor]

    /// The lower directories of a new snapshot, top first.
    public var entries: [StackEntry] { ancestors.map(\.entry) }

    /// The first local snapshot that was created on another chain than the remote snapshot below has now; `nil` if
    /// there is none. Its files may come from the other chain.
    public var outdated: Ancestor? {
        guard case .remote(let chain, _)? = ancestors.last?.entry else { return nil }
        return ancestors.dropLast().first { $0.base != nil && $0.base != chain }
    }
}

/// The directories and chains that await deletion. The number of a directory is the number of its removed snapshot. A
/// chain may still have another remote snapshot.
public struct RemovedThings: Sendable {
    public var directories: [Int64]
    public var chains: [ChainKey]
}

extension SnapshotRecords {
    /// The maximum number of entries in a stack that a query returns. The kernel's overlayfs can mount only 500 layers,
    /// so no useful stack reaches this limit.
    static let deepestStack = 4096

    /// Returns the record of `key`. Throws ``NodeDatabaseErrorCode/notFound`` if there is none.
    public func record(key: String) throws(NodeDatabaseError) -> SnapshotRecord {
        try state.read("looking up snapshot \(key)") { try Self.require($0, key: key) }
    }

    /// Returns the committed snapshot with `key`, for use as a parent; `nil` for an empty key.
    ///
    /// - Throws: `notFound` if `key` has no record; `invalidArgument` if the snapshot is not committed.
    public func parent(key: String) throws(NodeDatabaseError) -> SnapshotRecord? {
        try state.read("looking up snapshot \(key)") { try Self.requireParent($0, key: key) }
    }

    /// Returns a snapshot and the stack below it, top first. The stack ends with the chain on which the snapshot was
    /// created, because the snapshot's own files belong to it. The remote snapshot below may have another one by now.
    public func recordAndStack(key: String) throws(NodeDatabaseError) -> (record: SnapshotRecord, stack: [StackEntry]) {
        try state.read("looking up snapshot \(key)") { database in
            let record = try Self.require(database, key: key)
            var stack = try Self.ancestors(database, from: record.parent).map(\.entry)
            if let base = record.base, case .remote(_, let claim)? = stack.last {
                stack[stack.count - 1] = .remote(base, claim: claim)
            }
            return (record, stack)
        }
    }

    /// Returns the committed snapshot `key` and everything below it; `nil` for an empty key.
    ///
    /// - Throws: `notFound` if `key` has no record; `invalidArgument` if the snapshot is not committed.
    public func base(key: String) throws(NodeDatabaseError) -> SnapshotBase? {
        try state.read("looking up snapshot \(key)") { database in
            try Self.requireParent(database, key: key).map {
                SnapshotBase(ancestors: try Self.ancestors(database, from: $0.id))
            }
        }
    }

    /// Returns the snapshots from the one with number `top` down to the first remote snapshot. The merged tree of the
    /// remote snapshot includes all snapshots below. If `top` is `nil`, there are none.
    static func ancestors(_ database: Database, from top: Int64?) throws -> [SnapshotBase.Ancestor] {
        guard let top else { return [] }
        let statement = try database.cachedStatement(
            sql: """
                WITH RECURSIVE below (id, key, ref, parent, chain, claim, base, depth) AS (
                    SELECT id, key, ref, parent, chain, claim, base, 1 FROM snapshot WHERE id = ?
                    UNION ALL
                    SELECT s.id, s.key, s.ref, s.parent, s.chain, s.claim, s.base, depth + 1
                    FROM snapshot s JOIN below ON s.id = below.parent
                    WHERE below.chain IS NULL AND depth <= \(deepestStack)
                )
                SELECT id, key, ref, chain, claim, base FROM below ORDER BY depth
                """)
        let rows = try Row.fetchAll(statement, arguments: [top])
        guard rows.count <= deepestStack else {
            throw NodeDatabaseError(.failedPrecondition, "more than \(deepestStack) snapshots on top of one another")
        }
        return try rows.map { row in
            var entry = StackEntry.local(row["id"])
            if let chain: String = row["chain"] {
                guard let digest = Digest(chain) else {
                    throw NodeDatabaseError(.storage, "a snapshot in the database has a malformed digest")
                }
                entry = .remote(ChainKey(id: digest), claim: (row["claim"] as String?).flatMap { Digest($0) })
            }
            return SnapshotBase.Ancestor(
                key: row["key"], ref: row["ref"], entry: entry,
                base: (row["base"] as String?).flatMap { Digest($0) }.map(ChainKey.init(id:)))
        }
    }

    /// Returns a committed snapshot whose label `containerd.io/snapshot.ref` is `ref` and whose parent has the number
    /// `parent`; `nil` if there is none. Prefers a remote snapshot.
    ///
    /// - Parameter parent: the number of the parent; `nil` for a bottom snapshot.
    public func committed(ref: String, parent: Int64?) throws(NodeDatabaseError) -> SnapshotRecord? {
        try state.read("looking up \(ref)") { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT \(Self.columns) FROM \(Self.tables)
                    WHERE s.ref = ? AND s.parent IS ? AND s.kind = 3 ORDER BY s.chain IS NULL, s.id LIMIT 1
                    """)
            return try Row.fetchOne(statement, arguments: [ref, parent]).map(Self.record)
        }
    }

    /// Returns at most `limit` records with numbers above `id`, in the order of their numbers.
    ///
    /// - Parameter refs: the values of the label `containerd.io/snapshot.ref` to select; `nil` selects all snapshots.
    public func page(after id: Int64, limit: Int, refs: [String]? = nil) throws(NodeDatabaseError) -> [SnapshotRecord] {
        try state.read("listing snapshots") { database in
            var arguments: StatementArguments = [id]
            var condition = ""
            if let refs {
                condition = "AND s.ref IN (\(refs.map { _ in "?" }.joined(separator: ",")))"
                arguments += StatementArguments(refs)
            }
            arguments += [limit]
            return try Row.fetchAll(
                database,
                sql: "SELECT \(Self.columns) FROM \(Self.tables) WHERE s.id > ? \(condition) ORDER BY s.id LIMIT ?",
                arguments: arguments
            ).map(Self.record)
        }
    }

    /// Returns the number of snapshots.
    public func count() throws(NodeDatabaseError) -> Int {
        try state.read("counting snapshots") { try Int.fetchOne($0, sql: "SELECT count(*) FROM snapshot") ?? 0 }
    }

    /// Returns at most `limit` directories and at most `limit` chains that await deletion. A chain may still have
    /// another remote snapshot: check ``holds(chain:)`` before you delete the chain.
    public func removed(limit: Int) throws(NodeDatabaseError) -> RemovedThings {
        try state.read("looking for what can be deleted") { database in
            let directories = try Int64.fetchAll(
                database, sql: "SELECT id FROM removed_directory ORDER BY id LIMIT ?", arguments: [limit])
            let chains = try String.fetchAll(
                database, sql: "SELECT chain FROM removed_chain LIMIT ?", arguments: [limit])
            return RemovedThings(
                directories: directories, chains: chains.compactMap { Digest($0).map(ChainKey.init(id:)) })
        }
    }

    /// Removes the directory of snapshot `id` from the list of directories to delete. Call this after the directory has
    /// been deleted.
    public func forget(directory id: Int64) throws(NodeDatabaseError) {
        try state.write("forgetting directory \(id)") { database in
            try database.execute(sql: "DELETE FROM removed_directory WHERE id = ?", arguments: [id])
        }
    }

    /// Removes `chain` from the list of chains to delete.
    public func forget(chain: ChainKey) throws(NodeDatabaseError) {
        try state.write("forgetting chain \(chain)") { database in
            try database.execute(sql: "DELETE FROM removed_chain WHERE chain = ?", arguments: [chain.description])
        }
    }

    /// Returns true if a remote snapshot represents `chain`, or if a local snapshot was created on it. A snapshot of a
    /// chain above `chain` does not count.
    public func holds(chain: ChainKey) throws(NodeDatabaseError) -> Bool {
        try state.read("looking up chain \(chain)") { try Self.holds($0, chain: chain) }
    }

    static func holds(_ database: Database, chain: ChainKey) throws -> Bool {
        try Int.fetchOne(
            database, sql: "SELECT 1 FROM snapshot WHERE chain = ?1 OR base = ?1 LIMIT 1",
            arguments: [chain.description]) != nil
    }

    /// Returns all chains that remote snapshots represent. The content store must keep these chains.
    public func chains() throws(NodeDatabaseError) -> [ChainKey] {
        try state.read("listing chains") { database in
            try String.fetchAll(database, sql: "SELECT DISTINCT chain FROM snapshot WHERE chain IS NOT NULL")
                .compactMap { Digest($0).map(ChainKey.init(id:)) }
        }
    }

    /// The highest directory number that Rivulet can have assigned, because a node never creates this many snapshots. A
    /// directory with a higher number does not affect the numbers of new snapshots.
    private static let maximumNumber: Int64 = 1 << 40

    /// Compares the records with `present`, the numbers of the existing snapshot directories. Queues directories
    /// without a record for deletion. No new snapshot gets the number of a queued directory.
    ///
    /// - Returns: `orphans`, the numbers of the queued directories, and `missing`, the records whose directory is
    ///   needed but absent.
    public func reconcile(present: Set<Int64>) throws(NodeDatabaseError) -> (
        orphans: [Int64], missing: [SnapshotRecord]
    ) {
        try state.write("comparing records and directories") { database in
            var unclaimed = present
            var missing: [SnapshotRecord] = []
            let rows = try Row.fetchCursor(database, sql: "SELECT \(Self.columns) FROM \(Self.tables)")
            while let row = try rows.next() {
                let record = try Self.record(row)
                if unclaimed.remove(record.id) == nil, record.hasDirectory { missing.append(record) }
            }
            for id in unclaimed {
                try database.execute(sql: "INSERT OR IGNORE INTO removed_directory VALUES (?)", arguments: [id])
            }
            // Deletion goes on while new snapshots are created, so none of them may get the number of an orphan.
            if let highest = unclaimed.filter({ $0 <= Self.maximumNumber }).max() {
                try database.execute(
                    sql: """
                        UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'snapshot';
                        INSERT INTO sqlite_sequence (name, seq) SELECT 'snapshot', ?
                        WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'snapshot')
                        """, arguments: [highest, highest])
            }
            return (unclaimed.sorted(), missing)
        }
    }
}

extension SnapshotRecord {
    /// True if the snapshot needs a directory. A remote snapshot and a view of another snapshot need none.
    public var hasDirectory: Bool {
        remote == nil && (kind != .view || parent == nil)
    }
}
