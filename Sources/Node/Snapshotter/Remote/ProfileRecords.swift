public import Base
import Foundation
import GRDB
public import Registry
public import Streaming

/// A profile that is kept, and what it was recorded from.
public struct KeptProfile: Sendable {
    /// The image's root file system.
    public let chain: Digest
    public let repository: Repository
    public let profile: Profile
}

/// The profiles of images, kept in the state database. They outlive the images: the next pull starts with them.
public struct ProfileRecords: Sendable {
    /// Profiles that are kept; the one that was used longest ago goes first. One takes some tens of kilobytes.
    public static let maximumProfiles = 1024

    private let database: any DatabaseWriter

    /// Records in `store`'s database.
    public init(_ store: SnapshotStore) {
        self.init(database: store.pool)
    }

    /// Records in `database`, whose migrator has run ``register(in:)``.
    init(database: any DatabaseWriter) {
        self.database = database
    }

    /// Adds the table to the migrations of the state database.
    static func register(in migrator: inout DatabaseMigrator) {
        migrator.registerMigration("profiles") { database in
            try database.execute(
                sql: """
                    CREATE TABLE profiles (
                        chain TEXT PRIMARY KEY,
                        host TEXT NOT NULL,
                        repository TEXT NOT NULL,
                        -- Counts up with every change: the largest is the newest, whatever the clock says.
                        turn INTEGER NOT NULL,
                        -- As in a profile file.
                        file BLOB NOT NULL
                    ) STRICT;
                    CREATE INDEX profiles_by_repository ON profiles (host, repository, turn);
                    CREATE UNIQUE INDEX profiles_by_turn ON profiles (turn);
                    """)
        }
    }

    /// The profile of `chain`; when it has none or is not known, the newest of another image of `repository`, whose files are
    /// likely to have the same names.
    public func find(_ chain: Digest?, _ repository: Repository) throws -> KeptProfile? {
        try database.read { database in
            try Row.fetchOne(
                database,
                sql: """
                    SELECT chain, host, repository, file FROM profiles
                    WHERE chain = ?1 OR (host = ?2 AND repository = ?3)
                    ORDER BY chain = ?1 DESC, turn DESC LIMIT 1
                    """, arguments: [chain?.hex, repository.host, repository.name]
            ).flatMap(Self.kept)
        }
    }

    /// Whether any image of `repository` has one.
    public func hasAny(of repository: Repository) throws -> Bool {
        try database.read { database in
            try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM profiles WHERE host = ? AND repository = ?)",
                arguments: [repository.host, repository.name]) ?? false
        }
    }

    /// All profiles, the newest first.
    public func all() throws -> [KeptProfile] {
        try database.read { database in
            try Row.fetchAll(database, sql: "SELECT chain, host, repository, file FROM profiles ORDER BY turn DESC")
                .compactMap(Self.kept)
        }
    }

    /// The profile of `chain` as a file; `nil` when it has none.
    public func file(of chain: Digest) throws -> [UInt8]? {
        try database.read { database in
            try Data.fetchOne(database, sql: "SELECT file FROM profiles WHERE chain = ?", arguments: [chain.hex])
        }.map(Array.init)
    }

    /// Keeps the profile that is in a file, from another node or from a person.
    ///
    /// - Throws: ``StreamingError`` with code `badProfile` when it is none.
    public func keep(file bytes: [UInt8]) throws {
        let file = try ProfileFile(bytes: bytes)
        // Without a chain it needs a name that is no chain's: the same file then replaces itself.
        try keep(
            KeptProfile(
                chain: file.chain ?? Digest.of(bytes), repository: file.repository, profile: file.profile))
    }

    /// Keeps `kept` instead of the profile that its chain has.
    public func keep(_ kept: KeptProfile) throws {
        let file = try ProfileFile(repository: kept.repository, chain: kept.chain, profile: kept.profile).encoded()
        try database.write { database in
            let turn = try Int64.fetchOne(database, sql: "SELECT ifnull(max(turn), 0) + 1 FROM profiles") ?? 1
            try database.execute(
                sql: "INSERT OR REPLACE INTO profiles (chain, host, repository, turn, file) VALUES (?, ?, ?, ?, ?)",
                arguments: [kept.chain.hex, kept.repository.host, kept.repository.name, turn, Data(file)])
            try database.execute(
                sql: """
                    DELETE FROM profiles WHERE turn <= (
                        SELECT turn FROM profiles ORDER BY turn DESC LIMIT 1 OFFSET \(Self.maximumProfiles))
                    """)
        }
    }

    /// `nil` for what cannot be read any more: it is recorded anew.
    private static func kept(_ row: Row) -> KeptProfile? {
        let data: Data = row["file"]
        guard let chain = Digest(hex: (row["chain"] as String).utf8),
            let file = try? ProfileFile(bytes: Array(data))
        else { return nil }
        return KeptProfile(
            chain: chain, repository: Repository(host: row["host"], name: row["repository"]), profile: file.profile)
    }
}
