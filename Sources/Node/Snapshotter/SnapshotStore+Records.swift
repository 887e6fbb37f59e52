import Base
import FoundationEssentials
import GRDB

extension SnapshotStore {
    static let columns = """
        s.id, s.key, s.parent, s.kind, s.created, s.updated, s.labels, s.size, s.inodes, s.chain, s.layer,
        p.key AS parent_key
        """
    static let tables = "snapshot s LEFT JOIN snapshot p ON p.id = s.parent"

    /// Runs `body` in a transaction of its own.
    func write<Result>(
        _ doing: @autoclosure () -> String, _ body: (Database) throws -> Result
    ) throws(SnapshotterError) -> Result {
        do {
            return try pool.write(body)
        } catch {
            throw Self.translated(error, doing())
        }
    }

    /// Runs `body` on one state of the database.
    func read<Result>(
        _ doing: @autoclosure () -> String, _ body: (Database) throws -> Result
    ) throws(SnapshotterError) -> Result {
        do {
            return try pool.read(body)
        } catch {
            throw Self.translated(error, doing())
        }
    }

    private static func translated(_ error: any Error, _ doing: String) -> SnapshotterError {
        guard let error = error as? DatabaseError else { return SnapshotterError.wrapping(error, doing) }
        // Never the arguments of the statement: GRDB leaves them out unless told otherwise, and we keep it so.
        let message = "\(doing): \(error.message ?? "SQLite error") (\(error.extendedResultCode.rawValue))"
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_INTERRUPT: return SnapshotterError(.unavailable, message)
        default: return SnapshotterError(.storage, message)
        }
    }

    static func record(_ row: Row) throws -> SnapshotRecord {
        let id: Int64 = row["id"]
        guard let kind = SnapshotRecord.Kind(rawValue: row["kind"]) else {
            throw SnapshotterError(.storage, "snapshot \(id) in the database has an unknown kind")
        }
        var record = SnapshotRecord(
            id: id, key: row["key"], parent: row["parent"], parentKey: row["parent_key"] ?? "", kind: kind,
            labels: try labels(row["labels"], of: id), created: row["created"], updated: row["updated"])
        if let size: Int64 = row["size"], let inodes: Int64 = row["inodes"] {
            record.usage = SnapshotUsage(size: size, inodes: inodes)
        }
        if let chain: String = row["chain"], let layer: String = row["layer"] {
            guard let chainID = Digest(chain), let layerDigest = Digest(layer) else {
                throw SnapshotterError(.storage, "snapshot \(id) in the database has a malformed digest")
            }
            record.remote = RemoteIdentity(chainID: chainID, layerDigest: layerDigest)
        }
        return record
    }

    private static func labels(_ text: String, of id: Int64) throws -> [String: String] {
        do {
            return try JSONDecoder().decode([String: String].self, from: Data(text.utf8))
        } catch {
            throw SnapshotterError(.storage, "snapshot \(id) in the database has malformed labels", cause: error)
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

    /// As ``fetch(_:key:)``; throws ``SnapshotterError/Code/notFound``.
    static func require(_ database: Database, key: String, _ what: String = "snapshot") throws -> SnapshotRecord {
        guard let record = try fetch(database, key: key) else {
            throw SnapshotterError(.notFound, "\(what) \(key): not found")
        }
        return record
    }

    /// The committed snapshot named `key`, to stand on; `nil` for the empty name.
    static func requireParent(_ database: Database, key: String) throws -> SnapshotRecord? {
        guard !key.isEmpty else { return nil }
        let parent = try require(database, key: key, "parent snapshot")
        guard parent.kind == .committed else {
            throw SnapshotterError(.invalidArgument, "parent snapshot \(key) is not committed")
        }
        return parent
    }
}
