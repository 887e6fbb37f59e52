public import Base
import Concurrency
import GRDB
import Linux

/// The node's state, kept in the SQLite database `state.db` in the state directory.
///
/// ``SnapshotRecords``, ``ChainRecords`` and ``ProfileRecords`` access its tables. Each of their methods blocks on the
/// disk. Call them from our own threads, never from the cooperative pool. Each method runs in one transaction, so a
/// process that dies at any instruction leaves either all of its changes or none.
///
/// The database runs in WAL mode with `synchronous = FULL`. containerd records a snapshot in its own database, with
/// fsync, right after our answer. `NORMAL` leaves the WAL unsynced, so a power failure could undo the records of
/// snapshots that containerd still lists. An image with such a lost snapshot can neither be used nor be pulled again.
/// `FULL` costs one fsync for each change (0.2 ms on the disk we measured). containerd's own snapshotters have the same
/// cost.
public final class StateDatabase: Sendable {
    /// A report about a database that could not be used and was moved aside.
    public struct Recovery: Sendable {
        /// The reason why the database could not be used.
        public var reason: String
        /// The new paths of the database files and of the snapshots' directory, which were moved aside.
        public var quarantined: [String]
    }

    /// The state directory.
    public let root: String
    /// The report about the old database, if ``init(root:)`` could not use it and replaced it with an empty database;
    /// `nil` otherwise.
    public let recovery: Recovery?

    let pool: DatabasePool
    // Kept to hold the lock, which the kernel releases when the last descriptor is closed.
    private let lock: FileLock

    /// The name of the directory of local snapshots, in the state directory.
    ///
    /// Its subdirectories are named after the numbers of snapshots. A new database assigns the same numbers again, so
    /// this directory is moved aside together with the old database.
    public static let snapshotsDirectory = "snapshots"
    /// The name of the database in the state directory.
    static let fileName = "state.db"
    /// SQLite's `application_id` in the header of each of our databases. The value spells `Rivu`.
    static let applicationID: Int32 = 0x5269_7675

    /// Opens the database in the directory `root`. Creates that directory if necessary, but its parent must exist.
    ///
    /// If the database is corrupt or belongs to another program, this call renames it and creates an empty database
    /// (see ``recovery``). This call then also renames `snapshots/`, because the new database assigns the same snapshot
    /// numbers again.
    ///
    /// - Parameter bootIdentifier: the identifier of the machine's current boot; `nil` asks the kernel.
    /// - Throws: `invalidArgument` if `root` is no valid path; `inUse` if another process uses the directory; `storage`
    ///   if a newer version of Rivulet wrote the database. That version can still use the database.
    public init(root: String, bootIdentifier: String? = nil) throws(NodeDatabaseError) {
        // The path becomes part of mount options, where commas and colons separate items and nothing can be quoted.
        guard root.utf8.first == UInt8(ascii: "/"), root.utf8.count <= 256,
            root.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && !",:\\\"".utf8.contains($0) })
        else {
            throw NodeDatabaseError(
                .invalidArgument,
                "\(root): the state directory must be an absolute path without spaces, commas, colons and backslashes")
        }
        self.root = root
        do {
            if !(try Sys.exists(root)) {
                try Sys.makeDirectory(root)
                try Sys.chmod(root, 0o700)
            }
            lock = try FileLock(path: root + "/state.lock")
        } catch {
            throw NodeDatabaseError.wrapping(error, "opening the state directory \(root)")
        }
        let path = root + "/" + Self.fileName
        do {
            if let reason = try Self.defect(of: path) {
                recovery = Recovery(reason: reason, quarantined: try Self.quarantine(root: root))
            } else {
                recovery = nil
            }
            pool = try DatabasePool(path: path, configuration: Self.configuration())
            try pool.writeWithoutTransaction { database in
                // GRDB has set NORMAL on this connection, which is the only one that writes.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                try database.execute(sql: "PRAGMA application_id = \(Self.applicationID)")
            }
            let migrator = StateSchema.migrator()
            guard try !pool.read(migrator.hasBeenSuperseded) else {
                throw NodeDatabaseError(
                    .storage, "\(path) was written by a newer version of Rivulet: upgrade, or move it away")
            }
            try migrator.migrate(pool)
            let boot = try bootIdentifier ?? Linux.bootIdentifier()
            try pool.write { database in try Self.forgetSlots(database, of: boot) }
        } catch {
            throw NodeDatabaseError.wrapping(error, "opening \(path)")
        }
    }

    /// Deletes the slots that were assigned before the current boot, `boot`. The kernel has forgotten all nodes since,
    /// so other chains can use the slots.
    private static func forgetSlots(_ database: Database, of boot: String) throws {
        guard try String.fetchOne(database, sql: "SELECT id FROM boot") != boot else { return }
        try database.execute(
            sql: """
                DELETE FROM slots;
                DELETE FROM sqlite_sequence WHERE name = 'slots';
                DELETE FROM boot;
                """)
        try database.execute(sql: "INSERT INTO boot VALUES (?)", arguments: [boot])
    }

    /// Closes the database. Later calls throw.
    public func close() throws(NodeDatabaseError) {
        do {
            // Empty the log first. The last connection of the pool to close may be a reader, and SQLite then leaves the
            // log file behind.
            _ = try pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
            try pool.close()
        } catch {
            throw NodeDatabaseError.wrapping(error, "closing \(root)/\(Self.fileName)")
        }
    }

    /// Runs `body` in its own transaction. `doing` describes the operation in error messages.
    func write<Result>(
        _ doing: @autoclosure () -> String, _ body: (Database) throws -> Result
    ) throws(NodeDatabaseError) -> Result {
        do {
            return try pool.write(body)
        } catch {
            throw NodeDatabaseError.wrapping(error, doing())
        }
    }

    /// Runs `body`, whose queries all see the same state of the database. `doing` describes the operation in error
    /// messages.
    func read<Result>(
        _ doing: @autoclosure () -> String, _ body: (Database) throws -> Result
    ) throws(NodeDatabaseError) -> Result {
        do {
            return try pool.read(body)
        } catch {
            throw NodeDatabaseError.wrapping(error, doing())
        }
    }

    private static func configuration() -> Configuration {
        var configuration = Configuration()
        configuration.label = "state"
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 3
        configuration.prepareDatabase { database in
            // The whole database of a busy node has some hundred KiB. SQLite's default cache is 2 MB for each
            // connection.
            try database.execute(sql: "PRAGMA cache_size = -256")
        }
        return configuration
    }

    /// Returns the reason why the database at `path` cannot be used; `nil` if it can be used or does not exist.
    ///
    /// Writes nothing.
    private static func defect(of path: String) throws -> String? {
        guard try Sys.exists(path), try Sys.stat(path).size > 0 else { return nil }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            defer { try? queue.close() }
            return try queue.read { database in
                let identifier = try Int32.fetchOne(database, sql: "PRAGMA application_id")
                let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master")
                // This is our own database before its first transaction, for example after a power failure.
                if identifier == 0, tables == 0 { return nil }
                guard identifier == applicationID else { return "it is a database of another program" }
                let check = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
                return check == "ok" ? nil : "it is corrupt: \(check ?? "no answer")"
            }
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_NOTADB, .SQLITE_CORRUPT, .SQLITE_FORMAT: return "it is corrupt: \(error.message ?? "")"
            default: throw error
            }
        }
    }

    private static func quarantine(root: String) throws -> [String] {
        let suffix = ".broken-\(SystemTime().secondsSince1970)"
        var moved: [String] = []
        for name in [fileName, fileName + "-wal", fileName + "-shm", snapshotsDirectory] {
            let path = root + "/" + name
            guard try Sys.exists(path) else { continue }
            try Sys.rename(path, to: path + suffix, replacing: false)
            moved.append(path + suffix)
        }
        return moved
    }
}
