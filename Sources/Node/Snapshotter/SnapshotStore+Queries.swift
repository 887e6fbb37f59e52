public import Base
import GRDB

/// One snapshot of those below another.
enum StackEntry: Sendable, Equatable {
    /// A directory of ours.
    case local(Int64)
    /// The merged tree of a chain, which holds everything below it too.
    case remote(Digest)
}

/// What nobody needs any more, and has not been deleted yet.
struct RemovedThings: Sendable {
    var directories: [Int64]
    var chains: [Digest]
}

extension SnapshotStore {
    /// The deepest stack that is looked at; the kernel's overlay takes 500 layers.
    static let deepestStack = 4096

    func record(key: String) throws(SnapshotterError) -> SnapshotRecord {
        try read("looking up snapshot \(key)") { try Self.require($0, key: key) }
    }

    /// The snapshot named `key` to stand on; `nil` for the empty name.
    func parent(key: String) throws(SnapshotterError) -> SnapshotRecord? {
        try read("looking up snapshot \(key)") { try Self.requireParent($0, key: key) }
    }

    /// A snapshot and what lies below it, top first.
    func recordAndStack(key: String) throws(SnapshotterError) -> (record: SnapshotRecord, stack: [StackEntry]) {
        try read("looking up snapshot \(key)") { database in
            let record = try Self.require(database, key: key)
            return (record, try Self.stack(database, from: record.parent))
        }
    }

    /// The snapshots from number `top` downwards. It ends at the first remote one: its tree holds the rest.
    static func stack(_ database: Database, from top: Int64?) throws -> [StackEntry] {
        guard let top else { return [] }
        let statement = try database.cachedStatement(
            sql: """
                WITH RECURSIVE below (id, parent, chain, depth) AS (
                    SELECT id, parent, chain, 1 FROM snapshot WHERE id = ?
                    UNION ALL
                    SELECT s.id, s.parent, s.chain, depth + 1 FROM snapshot s JOIN below ON s.id = below.parent
                    WHERE below.chain IS NULL AND depth <= \(deepestStack)
                )
                SELECT id, chain FROM below ORDER BY depth
                """)
        let rows = try Row.fetchAll(statement, arguments: [top])
        guard rows.count <= deepestStack else {
            throw SnapshotterError(.failedPrecondition, "more than \(deepestStack) snapshots on top of one another")
        }
        return try rows.map { row in
            guard let chain: String = row["chain"] else { return .local(row["id"]) }
            guard let digest = Digest(chain) else {
                throw SnapshotterError(.storage, "a snapshot in the database has a malformed digest")
            }
            return .remote(digest)
        }
    }

    /// A committed snapshot with the label `snapshot.ref` and the parent that are given; a remote one rather than
    /// another.
    func committed(ref: String, parent: Int64?) throws(SnapshotterError) -> SnapshotRecord? {
        try read("looking up \(ref)") { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT \(Self.columns) FROM \(Self.tables)
                    WHERE s.ref = ? AND s.parent IS ? AND s.kind = 3 ORDER BY s.chain IS NULL, s.id LIMIT 1
                    """)
            return try Row.fetchOne(statement, arguments: [ref, parent]).map(Self.record)
        }
    }

    /// At most `limit` records whose numbers are larger than `id`, in the order of their numbers; with `refs`, only
    /// those that have one of them as the label `snapshot.ref`.
    func page(after id: Int64, limit: Int, refs: [String]? = nil) throws(SnapshotterError) -> [SnapshotRecord] {
        try read("listing snapshots") { database in
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

    /// How many snapshots there are.
    public func count() throws(SnapshotterError) -> Int {
        try read("counting snapshots") { try Int.fetchOne($0, sql: "SELECT count(*) FROM snapshot") ?? 0 }
    }

    /// At most `limit` things of each sort that can be deleted.
    func removed(limit: Int) throws(SnapshotterError) -> RemovedThings {
        try read("looking for what can be deleted") { database in
            let directories = try Int64.fetchAll(
                database, sql: "SELECT id FROM removed_directory ORDER BY id LIMIT ?", arguments: [limit])
            let chains = try String.fetchAll(
                database, sql: "SELECT chain FROM removed_chain LIMIT ?", arguments: [limit])
            return RemovedThings(directories: directories, chains: chains.compactMap { Digest($0) })
        }
    }

    /// The directory of snapshot `id` is deleted.
    func forget(directory id: Int64) throws(SnapshotterError) {
        try write("forgetting directory \(id)") { database in
            try database.execute(sql: "DELETE FROM removed_directory WHERE id = ?", arguments: [id])
        }
    }

    /// Takes `chainID` off the list of chains to forget. Returns whether it is to be forgotten: no snapshot holds it.
    func take(chain chainID: Digest) throws(SnapshotterError) -> Bool {
        try write("forgetting chain \(chainID)") { database in
            let name = chainID.description
            try database.execute(sql: "DELETE FROM removed_chain WHERE chain = ?", arguments: [name])
            return try !Self.holds(database, chain: name)
        }
    }

    /// Whether a snapshot stands for `chainID`.
    func holds(chain chainID: Digest) throws(SnapshotterError) -> Bool {
        try read("looking up chain \(chainID)") { try Self.holds($0, chain: chainID.description) }
    }

    private static func holds(_ database: Database, chain: String) throws -> Bool {
        try Int.fetchOne(database, sql: "SELECT 1 FROM snapshot WHERE chain = ? LIMIT 1", arguments: [chain]) != nil
    }

    /// All chains that snapshots stand for: what a content store must keep.
    public func chains() throws(SnapshotterError) -> [Digest] {
        try read("listing chains") { database in
            try String.fetchAll(database, sql: "SELECT DISTINCT chain FROM snapshot WHERE chain IS NOT NULL")
                .compactMap { Digest($0) }
        }
    }

    /// What the numbered directories in `present` are: those without a record are marked for deletion and returned, as
    /// are the records without a directory that ought to have one.
    func reconcile(present: Set<Int64>) throws(SnapshotterError) -> (orphans: [Int64], missing: [SnapshotRecord]) {
        try write("comparing records and directories") { database in
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
            return (unclaimed.sorted(), missing)
        }
    }
}

extension SnapshotRecord {
    /// Remote snapshots have no directory, and a view of another snapshot needs none.
    var hasDirectory: Bool {
        remote == nil && (kind != .view || parent == nil)
    }
}
