import Base
import Concurrency
import Foundation
import GRDB
import Linux
import SystemPackage

/// The records of all snapshots: a SQLite database, `state.db` in the state directory.
///
/// Every method blocks on the disk: call them from threads of our own, never from the cooperative pool. Each is one
/// transaction, so a process that dies at any instruction leaves either all of it or nothing.
///
/// The database runs in WAL mode with `synchronous = FULL`. containerd writes a snapshot down in its own database, with
/// fsync, right after we have answered: with `NORMAL`, which leaves the WAL unsynced, a power failure would take back
/// records that containerd keeps, and an image whose chain has a hole can neither be used nor be pulled again. One
/// fsync a change (0.2 ms on the disk that this was measured on) is what containerd's own snapshotters pay too.
public final class SnapshotStore: Sendable {
    /// What was found wrong when the store was opened.
    public struct Recovery: Sendable {
        /// Why the database that was there could not be used.
        public var reason: String
        /// Where it, and the directories of its snapshots, were put.
        public var setAside: [String]
    }

    /// The state directory.
    public let root: String
    /// Set when the database found was corrupt or not ours: the store has started empty.
    public let recovery: Recovery?

    let pool: DatabasePool
    // Held for its lock, which the kernel drops with the last descriptor.
    private let lock: HeldLock

    /// The name of the database in the state directory.
    static let fileName = "state.db"
    /// `Rivu`, in the header of every database that is ours (SQLite's `application_id`).
    static let applicationID: Int32 = 0x5269_7675

    /// Opens the store in `root`, which is made when it is not there; its parent must be there.
    ///
    /// A database that is corrupt, or not ours, is renamed away together with `snapshots/`, whose numbers would
    /// otherwise be given out again. One of a newer version is refused: it would be good again after an upgrade.
    public init(root: String) throws(SnapshotterError) {
        // The path ends in mount options, which are divided by commas and colons and have no quoting in fstab's form.
        guard root.utf8.first == UInt8(ascii: "/"), root.utf8.count <= 256,
            root.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && !",:\\\"".utf8.contains($0) })
        else {
            throw SnapshotterError(
                .invalidArgument,
                "\(root): the state directory must be an absolute path without spaces, commas, colons and backslashes")
        }
        self.root = root
        do {
            if !(try Sys.exists(root)) {
                try Sys.makeDirectory(root)
                try Sys.chmod(root, 0o700)
            }
            lock = try HeldLock(path: root + "/state.lock")
        } catch {
            throw SnapshotterError.wrapping(error, "opening the state directory \(root)")
        }
        let path = root + "/" + Self.fileName
        do {
            if let reason = try Self.defect(of: path) {
                recovery = Recovery(reason: reason, setAside: try Self.setAside(root: root))
            } else {
                recovery = nil
            }
            pool = try DatabasePool(path: path, configuration: Self.configuration())
            try pool.writeWithoutTransaction { database in
                // After GRDB has set NORMAL on this, the only connection that writes.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                try database.execute(sql: "PRAGMA application_id = \(Self.applicationID)")
            }
            let migrator = SnapshotSchema.migrator()
            guard try !pool.read(migrator.hasBeenSuperseded) else {
                throw SnapshotterError(
                    .storage, "\(path) was written by a newer version of Rivulet: upgrade, or move it away")
            }
            try migrator.migrate(pool)
        } catch {
            throw SnapshotterError.wrapping(error, "opening \(path)")
        }
    }

    /// Closes the database. Later calls fail.
    public func close() throws(SnapshotterError) {
        do {
            // Of the pool's connections the last to close may be one that only reads, and then SQLite leaves the log.
            _ = try pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
            try pool.close()
        } catch {
            throw SnapshotterError.wrapping(error, "closing \(root)/\(Self.fileName)")
        }
    }

    private static func configuration() -> Configuration {
        var configuration = Configuration()
        configuration.label = "snapshots"
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 3
        configuration.prepareDatabase { database in
            // The whole database of a busy node is some hundred KiB; SQLite's default is 2 MB a connection.
            try database.execute(sql: "PRAGMA cache_size = -256")
        }
        return configuration
    }

    /// Why the database at `path` cannot be used, or `nil` when it can, or is not there. Nothing is written to it.
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

    private static func setAside(root: String) throws -> [String] {
        let suffix = ".broken-\(SystemTime().secondsSince1970)"
        var moved: [String] = []
        for name in [fileName, fileName + "-wal", fileName + "-shm", SnapshotDirectories.name] {
            let path = root + "/" + name
            guard try Sys.exists(path) else { continue }
            try Sys.rename(path, to: path + suffix, replacing: false)
            moved.append(path + suffix)
        }
        return moved
    }
}

/// An exclusive lock on a file, held while this exists.
final class HeldLock: Sendable {
    private let descriptor: OwnedDescriptor

    /// Throws ``SnapshotterError/Code/inUse`` when somebody else holds it.
    init(path: String) throws {
        let descriptor = try Sys.open(path, [.readWrite, .create, .noFollow], permissions: 0o600)
        guard try Sys.tryLock(descriptor.raw) else {
            throw SnapshotterError(.inUse, "\(path) is locked: another instance is running")
        }
        self.descriptor = descriptor
    }
}
