public import Base
import FoundationEssentials
import GRDB
import Registry
import Streaming

/// The conversion service's database (SQLite). Every method blocks while it reads or writes the disk.
///
/// The database does not contain streaming artifacts. They are in the registry, where other services find them, too.
public final class ConversionStore: Sendable {
    /// The number of latest operations that the database keeps. Older operations are deleted if they have ended.
    static let keptOperations = 10_000
    /// The bytes `RivC`, which the header of every such database contains (SQLite's `application_id`).
    private static let applicationID: Int32 = 0x5269_7643

    private let queue: DatabaseQueue

    /// Opens the database at `path`, or creates it. The directory of `path` must exist.
    ///
    /// - Throws: `storage` if the database cannot be opened, or if another program or a newer version of Rivulet wrote
    ///   it.
    public init(path: String) throws(ConversionError) {
        do {
            var configuration = Configuration()
            configuration.label = "conversions"
            configuration.foreignKeysEnabled = true
            configuration.busyMode = .timeout(5)
            queue = try DatabaseQueue(path: path, configuration: configuration)
            let (id, tables) = try queue.read {
                (
                    try Int32.fetchOne($0, sql: "PRAGMA application_id") ?? 0,
                    try Int.fetchOne($0, sql: "SELECT count(*) FROM sqlite_master") ?? 0
                )
            }
            guard id == Self.applicationID || (id == 0 && tables == 0) else {
                throw ConversionError(.storage, "\(path) is a database of another program: choose another --state")
            }
            let migrator = Self.migrator()
            guard try !queue.read(migrator.hasBeenSuperseded) else {
                throw ConversionError(.storage, "\(path) was written by a newer version of Rivulet: upgrade")
            }
            try queue.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA journal_mode = WAL")
                try database.execute(sql: "PRAGMA application_id = \(Self.applicationID)")
            }
            try migrator.migrate(queue)
        } catch let error as ConversionError {
            throw error
        } catch {
            throw ConversionError(.storage, "cannot open \(path)", cause: error)
        }
    }

    private static func migrator() -> DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in
            try database.execute(
                sql: """
                    CREATE TABLE operation (
                        number INTEGER PRIMARY KEY AUTOINCREMENT,
                        id TEXT NOT NULL UNIQUE,
                        repository TEXT NOT NULL,
                        image TEXT NOT NULL,
                        state TEXT NOT NULL,
                        progress INTEGER NOT NULL,
                        -- Digests, one a line.
                        artifacts TEXT NOT NULL,
                        error_code TEXT,
                        error_message TEXT,
                        created INTEGER NOT NULL,
                        changed INTEGER NOT NULL
                    ) STRICT;
                    CREATE INDEX operation_image ON operation (image);
                    CREATE INDEX operation_repository ON operation (repository);
                    -- The enabled ones.
                    CREATE TABLE repository (name TEXT PRIMARY KEY) STRICT;
                    -- The digest of each tag of an enabled repository at the last look.
                    CREATE TABLE seen (
                        repository TEXT NOT NULL REFERENCES repository (name) ON DELETE CASCADE,
                        tag TEXT NOT NULL,
                        digest TEXT NOT NULL,
                        PRIMARY KEY (repository, tag)
                    ) STRICT, WITHOUT ROWID;
                    """)
        }
        migrator.registerMigration("2") { database in
            try database.execute(
                sql: """
                    -- The reads of an image's starts, from nodes' reports.
                    CREATE TABLE profile (
                        repository TEXT NOT NULL REFERENCES repository (name) ON DELETE CASCADE,
                        manifest TEXT NOT NULL,
                        -- As files.
                        known BLOB NOT NULL,
                        -- The profile of the image's newest startup pack.
                        packed BLOB,
                        -- Seconds since 1970.
                        packed_at INTEGER NOT NULL,
                        changed INTEGER NOT NULL,
                        PRIMARY KEY (repository, manifest)
                    ) STRICT;
                    """)
        }
        return migrator
    }

    private func wrapping<Result>(_ body: () throws -> Result) throws(ConversionError) -> Result {
        do {
            return try body()
        } catch {
            throw ConversionError(.storage, "the database of conversions failed", cause: error)
        }
    }

    // MARK: - Operations

    /// Adds an operation for `image`, and returns it with `isNew` true. If an operation for the image is already in
    /// progress, returns that operation instead, with `isNew` false.
    func add(repository: String, image: String) throws(ConversionError) -> (ConversionOperation, isNew: Bool) {
        try wrapping {
            try queue.write { database in
                let active = try Row.fetchOne(
                    database,
                    sql: "SELECT * FROM operation WHERE image = ? AND state IN ('NotStarted', 'Running')",
                    arguments: [image])
                if let active { return (try Self.operation(active), false) }
                let now = Int64(Date().timeIntervalSince1970)
                let operation = ConversionOperation(
                    id: UUID().uuidString.lowercased(), repository: repository, image: image, state: .notStarted,
                    progress: 0, artifacts: [], error: nil, created: now, changed: now)
                try database.execute(
                    sql: """
                        INSERT INTO operation (id, repository, image, state, progress, artifacts, created, changed)
                        VALUES (?, ?, ?, ?, 0, '', ?, ?)
                        """,
                    arguments: [operation.id, repository, image, operation.state.rawValue, now, now])
                try database.execute(
                    sql: """
                        DELETE FROM operation WHERE state NOT IN ('NotStarted', 'Running') AND number <=
                            (SELECT max(number) FROM operation) - ?
                        """, arguments: [Self.keptOperations])
                return (operation, true)
            }
        }
    }

    /// Changes an operation with `body`, unless the operation has ended. Returns the stored operation after the change;
    /// `nil` if there is no operation with this ID.
    func change(
        _ id: String, _ body: (inout ConversionOperation) -> Void
    ) throws(ConversionError) -> ConversionOperation? {
        try wrapping {
            try queue.write { database in
                let row = try Row.fetchOne(database, sql: "SELECT * FROM operation WHERE id = ?", arguments: [id])
                guard var operation = try row.map(Self.operation) else { return nil }
                guard !operation.state.isOver else { return operation }
                body(&operation)
                operation.changed = Int64(Date().timeIntervalSince1970)
                try database.execute(
                    sql: """
                        UPDATE operation SET state = ?, progress = ?, artifacts = ?, error_code = ?, error_message = ?,
                            changed = ? WHERE id = ?
                        """,
                    arguments: [
                        operation.state.rawValue, operation.progress, operation.artifacts.joined(separator: "\n"),
                        operation.error?.code, operation.error?.message, operation.changed, id,
                    ])
                return operation
            }
        }
    }

    func find(_ id: String) throws(ConversionError) -> ConversionOperation? {
        try wrapping {
            try queue.read {
                try Row.fetchOne($0, sql: "SELECT * FROM operation WHERE id = ?", arguments: [id]).map(Self.operation)
            }
        }
    }

    /// Returns at most a thousand operations, in reverse order of creation.
    ///
    /// - Parameters:
    ///   - repository: the repository of the images; `nil` for all repositories.
    ///   - image: the image; `nil` for all images. The operation of a pushed image names the image by tag and digest. A
    ///     reference with only the tag or only the digest finds this operation, too.
    func operations(
        repository: String? = nil, image: ImageReference? = nil
    ) throws(ConversionError) -> [ConversionOperation] {
        let digest = image.flatMap { image in image.tag == nil ? image.digest.map { "@\($0)" } : nil }
        return try wrapping {
            try queue.read {
                try Row.fetchAll(
                    $0,
                    sql: """
                        SELECT * FROM operation WHERE (?1 IS NULL OR repository = ?1)
                        AND (?2 IS NULL OR image = ?2 OR substr(image, 1, length(?2) + 1) = ?2 || '@'
                            OR (repository = ?3 AND substr(image, -length(?4)) = ?4))
                        ORDER BY number DESC LIMIT 1000
                        """,
                    arguments: [repository, image.map { "\($0)" }, image.map { "\($0.repository)" }, digest]
                ).map(Self.operation)
            }
        }
    }

    /// Resets all running operations to "not started", because the previous run of the service did not finish them.
    /// Returns the IDs of all unfinished operations, in the order of creation.
    func unfinished() throws(ConversionError) -> [String] {
        try wrapping {
            try queue.write { database in
                try database.execute(
                    sql: "UPDATE operation SET state = 'NotStarted', progress = 0 WHERE state = 'Running'")
                return try String.fetchAll(
                    database, sql: "SELECT id FROM operation WHERE state = 'NotStarted' ORDER BY number")
            }
        }
    }

    private static func operation(_ row: Row) throws -> ConversionOperation {
        guard let state = ConversionOperation.State(rawValue: row["state"]) else {
            throw ConversionError(.storage, "an operation has an unknown state")
        }
        let code: String? = row["error_code"]
        let artifacts: String = row["artifacts"]
        return ConversionOperation(
            id: row["id"], repository: row["repository"], image: row["image"], state: state, progress: row["progress"],
            artifacts: artifacts.split(separator: "\n").map(String.init),
            error: code.map { ConversionOperation.Failure(code: $0, message: row["error_message"] ?? "") },
            created: row["created"], changed: row["changed"])
    }

    // MARK: - Repositories

    func isStreaming(_ repository: String) throws(ConversionError) -> Bool {
        try wrapping {
            try queue.read {
                try Bool.fetchOne(
                    $0, sql: "SELECT EXISTS (SELECT 1 FROM repository WHERE name = ?)", arguments: [repository])
                    ?? false
            }
        }
    }

    /// Returns the names of the repositories with automatic conversion, in alphabetical order.
    func streaming() throws(ConversionError) -> [String] {
        try wrapping {
            try queue.read {
                try String.fetchAll($0, sql: "SELECT name FROM repository ORDER BY name")
            }
        }
    }

    /// Enables or disables automatic conversion for a repository. Enabling it records the repository's current tags.
    /// Disabling it deletes the recorded tags and the profiles.
    ///
    /// - Parameter tags: the digest of each tag's image, keyed by tag. Used only with `streaming` true.
    func set(_ repository: String, streaming: Bool, tags: [String: String]) throws(ConversionError) {
        try wrapping {
            try queue.write { database in
                try database.execute(sql: "DELETE FROM repository WHERE name = ?", arguments: [repository])
                guard streaming else { return }
                try database.execute(sql: "INSERT INTO repository VALUES (?)", arguments: [repository])
                for (tag, digest) in tags { try Self.see(repository, tag: tag, digest: digest, in: database) }
            }
        }
    }

    /// Records the current digest of a tag. Returns true if the digest has changed or the tag is new.
    func see(_ repository: String, tag: String, digest: String) throws(ConversionError) -> Bool {
        try wrapping {
            try queue.write { database in
                let known = try String.fetchOne(
                    database, sql: "SELECT digest FROM seen WHERE repository = ? AND tag = ?",
                    arguments: [repository, tag])
                guard known != digest else { return false }
                try Self.see(repository, tag: tag, digest: digest, in: database)
                return true
            }
        }
    }

    private static func see(_ repository: String, tag: String, digest: String, in database: Database) throws {
        try database.execute(
            sql: "INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", arguments: [repository, tag, digest])
    }

    // MARK: - Profiles

    /// The maximum number of profiles that the database keeps for one repository: those that changed last.
    private static let keptProfiles = 32

    /// The profile of an image's starts, merged from nodes' reports.
    struct KnownProfile {
        let known: ProfileFile
        /// The profile from which the image's newest startup pack was built; `nil` if there is no pack.
        let packed: ProfileFile?
        /// The time at which the newest startup pack was built, in seconds since 1970; 0 if there is no pack.
        let packedAt: Int64
    }

    /// Returns the profile of an image. If there is none, returns the most recently changed profile of another image in
    /// the repository; `nil` if there is none either.
    func profile(_ repository: String, of manifest: String) throws(ConversionError) -> KnownProfile? {
        try wrapping {
            try queue.read { database in
                try Row.fetchOne(
                    database,
                    sql: """
                        SELECT * FROM profile WHERE repository = ?1 ORDER BY manifest = ?2 DESC, changed DESC LIMIT 1
                        """, arguments: [repository, manifest]
                ).map(Self.profile)
            }
        }
    }

    /// Returns the images with a profile but no startup pack, and those whose pack was built from a different profile.
    func changedProfiles() throws(ConversionError) -> [(repository: String, manifest: String, profile: KnownProfile)] {
        try wrapping {
            try queue.read { database in
                try Row.fetchAll(database, sql: "SELECT * FROM profile WHERE packed IS NULL OR packed <> known").map {
                    ($0["repository"], $0["manifest"], try Self.profile($0))
                }
            }
        }
    }

    /// Replaces the profile of an image. If the repository then has more than ``keptProfiles`` profiles, deletes those
    /// that have not changed for the longest time.
    ///
    /// - Parameter merge: computes the new profile from the old one, which is `nil` for a new image.
    ///
    /// - Returns: the stored profile. `nil` if the function deleted it at once, because ``keptProfiles`` other profiles
    ///   have the same or a later time of change. That happens only if all of them changed in the same second, or after
    ///   the clock was set back.
    func learn(
        _ repository: String, of manifest: String, _ merge: (ProfileFile?) throws -> ProfileFile
    ) throws(ConversionError) -> KnownProfile? {
        try wrapping {
            try queue.write { database in
                let select = "SELECT * FROM profile WHERE repository = ? AND manifest = ?"
                let old = try Row.fetchOne(database, sql: select, arguments: [repository, manifest]).map(Self.profile)
                try database.execute(
                    sql: """
                        INSERT INTO profile VALUES (?1, ?2, ?3, NULL, 0, ?4)
                        ON CONFLICT DO UPDATE SET known = ?3, changed = ?4
                        """,
                    arguments: [
                        repository, manifest, Data(try merge(old?.known).encoded()),
                        Int64(Date().timeIntervalSince1970),
                    ])
                try database.execute(
                    sql: """
                        DELETE FROM profile WHERE repository = ?1 AND manifest NOT IN
                            (SELECT manifest FROM profile WHERE repository = ?1 ORDER BY changed DESC LIMIT ?2)
                        """, arguments: [repository, Self.keptProfiles])
                return try Row.fetchOne(database, sql: select, arguments: [repository, manifest]).map(Self.profile)
            }
        }
    }

    /// Records that the image's startup pack was built from `profile`.
    func packed(_ repository: String, of manifest: String, with profile: ProfileFile) throws(ConversionError) {
        try wrapping {
            let bytes = Data(try profile.encoded())
            try queue.write { database in
                try database.execute(
                    sql: "UPDATE profile SET packed = ?, packed_at = ? WHERE repository = ? AND manifest = ?",
                    arguments: [bytes, Int64(Date().timeIntervalSince1970), repository, manifest])
            }
        }
    }

    private static func profile(_ row: Row) throws -> KnownProfile {
        let (known, packed): (Data, Data?) = (row["known"], row["packed"])
        return KnownProfile(
            known: try ProfileFile(bytes: Array(known)),
            packed: try packed.map { try ProfileFile(bytes: Array($0)) }, packedAt: row["packed_at"])
    }
}
