public import Base
import Concurrency
import GRDB
import Linux

/// The node's state: a SQLite database, `state.db` in the state directory.
///
/// ``SnapshotRecords``, ``ChainRecords`` and ``ProfileRecords`` are its tables. Every method of these blocks on the
/// disk: call them from our own threads, never from the cooperative pool. Each is one transaction, so a process that
/// dies at any instruction leaves either all of it or nothing.
///
/// The database runs in WAL mode with `synchronous = FULL`. containerd records a snapshot in its own database, with
/// fsync, right after our answer. `NORMAL` leaves the WAL unsynced: a power failure would then undo records that
/// containerd keeps, and an image whose chain has a hole can neither be used nor be pulled again. One fsync a change
/// (0.2 ms on the disk we measured) is what containerd's own snapshotters pay too.
public final class StateDatabase: Sendable {
    /// A report about a database that could not be used.
    public struct Recovery: Sendable {
        /// Why the database could not be used.
        public var reason: String
        /// The paths that the database and its snapshots' directories were moved to.
        public var quarantined: [String]
    }

    /// The state directory.
    public let root: String
    /// Set when the database was corrupt or foreign: the store has then started empty.
    public let recovery: Recovery?

    let pool: DatabasePool
    // Held for its lock, which the kernel drops with the last descriptor.
    private let lock: FileLock

    /// The name of the directory, in the state directory, of local snapshots. Its subdirectories are named by the
    /// numbers of snapshots, so it shares the database's fate.
    public static let snapshotsDirectory = "snapshots"
    /// The name of the database in the state directory.
    static let fileName = "state.db"
    /// `Rivu`, in the header of every database of ours (SQLite's `application_id`).
    static let applicationID: Int32 = 0x5269_7675

    /// Opens the database in `root`, and creates that directory if necessary; its parent must exist.
    ///
    /// A corrupt or foreign database is renamed, together with `snapshots/`, whose numbers would otherwise be assigned
    /// again. A database of a newer version is refused: an upgrade makes it usable.
    public init(root: String) throws(NodeDatabaseError) {
        // The path ends up in mount options, which are separated by commas and colons and cannot be quoted in fstab's
        // form.
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
                // After GRDB has set NORMAL on this connection, the only one that writes.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                try database.execute(sql: "PRAGMA application_id = \(Self.applicationID)")
            }
            let migrator = StateSchema.migrator()
            guard try !pool.read(migrator.hasBeenSuperseded) else {
                throw NodeDatabaseError(
                    .storage, "\(path) was written by a newer version of Rivulet: upgrade, or move it away")
            }
            try migrator.migrate(pool)
        } catch {
            throw NodeDatabaseError.wrapping(error, "opening \(path)")
        }
    }

    /// Closes the database. Later calls fail.
    public func close() throws(NodeDatabaseError) {
        do {
            // The last of the pool's connections to close may be a reader, and then SQLite leaves the log behind.
            _ = try pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
            try pool.close()
        } catch {
            throw NodeDatabaseError.wrapping(error, "closing \(root)/\(Self.fileName)")
        }
    }

    /// Runs `body` in a transaction of its own.
    func write<Result>(
        _ doing: @autoclosure () -> String, _ body: (Database) throws -> Result
    ) throws(NodeDatabaseError) -> Result {
        do {
            return try pool.write(body)
        } catch {
            throw NodeDatabaseError.wrapping(error, doing())
        }
    }

    /// Runs `body` on one state of the database.
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
            // The whole database of a busy node is some hundred KiB; SQLite's default is 2 MB a connection.
            try database.execute(sql: "PRAGMA cache_size = -256")
        }
        return configuration
    }

    /// Returns why the database at `path` cannot be used, or `nil` if it can or does not exist. Writes nothing.
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
                // Ours but for its first transaction: the power failed there.
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
