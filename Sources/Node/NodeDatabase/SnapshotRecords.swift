import Base
import ContentStore
import FoundationEssentials
import GRDB

/// The records of all snapshots.
public struct SnapshotRecords: Sendable {
    let state: StateDatabase

    /// Creates an accessor for the records in `state`.
    public init(_ state: StateDatabase) {
        self.state = state
    }

    static let columns = """
        s.id, s.key, s.parent, s.kind, s.created, s.updated, s.labels, s.size, s.inodes, s.chain, s.layer,
        s.claim, s.base, p.key AS parent_key
        """
    static let tables = "snapshot s LEFT JOIN snapshot p ON p.id = s.parent"

    static func record(_ row: Row) throws -> SnapshotRecord {
        let id: Int64 = row["id"]
        guard let kind = SnapshotRecord.Kind(rawValue: row["kind"]) else {
            throw NodeDatabaseError(.storage, "snapshot \(id) in the database has an unknown kind")
        }
        var record = SnapshotRecord(
            id: id, key: row["key"], parent: row["parent"], parentKey: row["parent_key"] ?? "", kind: kind,
            labels: try labels(row["labels"], of: id), created: row["created"], updated: row["updated"])
        if let size: Int64 = row["size"], let inodes: Int64 = row["inodes"] {
            record.usage = SnapshotUsage(size: size, inodes: inodes)
        }
        if let chain: String = row["chain"], let layer: String = row["layer"] {
            guard let chainID = Digest(chain), let layerKey = LayerKey(text: layer) else {
                throw NodeDatabaseError(.storage, "snapshot \(id) in the database has a malformed chain or layer")
            }
            record.remote = RemoteIdentity(chain: ChainKey(id: chainID), layer: layerKey)
            record.claim = (row["claim"] as String?).flatMap { Digest($0) }
        }
        record.base = (row["base"] as String?).flatMap { Digest($0) }.map(ChainKey.init(id:))
        return record
    }

    private static func labels(_ text: String, of id: Int64) throws -> [String: String] {
        do {
            return try JSONDecoder().decode([String: String].self, from: Data(text.utf8))
        } catch {
            throw NodeDatabaseError(.storage, "snapshot \(id) in the database has malformed labels", cause: error)
        }
    }

    static func text(of labels: [String: String]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(labels), as: UTF8.self)
    }

    static func fetch(_ database: Database, key: String) throws -> SnapshotRecord? {
        let statement = try database.cachedStatement(
            sql: "SELECT \(columns) FROM \(tables) WHERE s.key = ?")
        return try Row.fetchOne(statement, arguments: [key]).map(record)
    }

    /// Returns the record of `key`. Throws ``NodeDatabaseErrorCode/notFound`` if there is none. `what` names the
    /// snapshot in the message.
    static func require(_ database: Database, key: String, as what: String = "snapshot") throws -> SnapshotRecord {
        guard let record = try fetch(database, key: key) else {
            throw NodeDatabaseError(.notFound, "\(what) \(key): not found")
        }
        return record
    }

    /// Returns the committed snapshot with `key`, for use as a parent; `nil` for an empty key.
    ///
    /// - Throws: `notFound` if `key` has no record; `invalidArgument` if the snapshot is not committed.
    static func requireParent(_ database: Database, key: String) throws -> SnapshotRecord? {
        guard !key.isEmpty else { return nil }
        let parent = try require(database, key: key, as: "parent snapshot")
        guard parent.kind == .committed else {
            throw NodeDatabaseError(.invalidArgument, "parent snapshot \(key) is not committed")
        }
        return parent
    }
}
