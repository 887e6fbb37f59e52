public import Base
import Foundation
import GRDB
public import Registry
public import Streaming

/// A stored profile with the chain and the repository of the recorded image.
public struct KeptProfile: Sendable {
    /// The chain ID of the image's root file system. For a profile that names no chain, it is the digest of the
    /// profile's file.
    public let chain: Digest
    public let repository: Repository
    public let profile: Profile

    public init(chain: Digest, repository: Repository, profile: Profile) {
        self.chain = chain
        self.repository = repository
        self.profile = profile
    }
}

/// The profiles of images. A ``Profile`` lists the data that a container reads until it is ready. The profile stays in
/// the database after its image is removed, so that the next pull can use it.
public struct ProfileRecords: Sendable {
    /// The maximum number of profiles in the database. Storing another one deletes the profile that was stored longest
    /// ago. A profile takes some tens of kilobytes.
    public static let maximumProfiles = 1024

    private let state: StateDatabase

    /// Creates an accessor for the records in `state`.
    public init(_ state: StateDatabase) {
        self.state = state
    }

    /// Returns the profile of `chain` in `repository`, or else the most recently stored profile of `repository`; `nil`
    /// if there is neither. Never returns a profile of another repository, because any image can state any chain ID.
    ///
    /// The profile of another image in the repository is useful, because the files of both images are likely to have
    /// the same names.
    ///
    /// - Parameter chain: the image's chain ID; `nil` if it is unknown.
    public func find(_ chain: Digest?, _ repository: Repository) throws -> KeptProfile? {
        try state.read("looking up a profile") { database in
            try Row.fetchOne(
                database,
                sql: """
                    SELECT chain, host, repository, file FROM profiles
                    WHERE host = ?2 AND repository = ?3
                    ORDER BY chain = ?1 DESC, turn DESC LIMIT 1
                    """, arguments: [chain?.hex, repository.host, repository.name]
            ).flatMap(Self.kept)
        }
    }

    /// Returns true if any image of `repository` has a profile.
    public func hasAny(of repository: Repository) throws -> Bool {
        try state.read("looking up profiles") { database in
            try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM profiles WHERE host = ? AND repository = ?)",
                arguments: [repository.host, repository.name]) ?? false
        }
    }

    /// Returns all readable profiles, most recently stored first.
    public func all() throws -> [KeptProfile] {
        try state.read("listing profiles") { database in
            try Row.fetchAll(database, sql: "SELECT chain, host, repository, file FROM profiles ORDER BY turn DESC")
                .compactMap(Self.kept)
        }
    }

    /// Returns the most recently stored profile of `chain` in any repository, encoded; `nil` if there is none.
    public func file(of chain: Digest) throws -> [UInt8]? {
        try state.read("looking up a profile") { database in
            try Data.fetchOne(
                database, sql: "SELECT file FROM profiles WHERE chain = ? ORDER BY turn DESC LIMIT 1",
                arguments: [chain.hex])
        }.map(Array.init)
    }

    /// Stores a profile from a file. Another node or a person may have written the file.
    ///
    /// - Throws: ``StreamingError`` with code `badProfile` if the file is malformed; ``NodeDatabaseError`` if the
    ///   database fails.
    public func keep(file bytes: [UInt8]) throws {
        let file = try ProfileFile(bytes: bytes)
        // A profile without a chain is stored under the digest of its file, so that the same file replaces itself.
        try keep(
            KeptProfile(
                chain: file.chain ?? Digest.of(bytes), repository: file.repository, profile: file.profile))
    }

    /// Stores `kept`, which replaces any earlier profile of the same chain and repository.
    public func keep(_ kept: KeptProfile) throws {
        let file = try ProfileFile(repository: kept.repository, chain: kept.chain, profile: kept.profile).encoded()
        try state.write("recording a profile") { database in
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

    /// Decodes a row; returns `nil` if the profile is unreadable. When the node records the next start of the image,
    /// the new profile replaces the unreadable one.
    private static func kept(_ row: Row) -> KeptProfile? {
        let data: Data = row["file"]
        guard let chain = Digest(hex: (row["chain"] as String).utf8),
            let file = try? ProfileFile(bytes: Array(data))
        else { return nil }
        return KeptProfile(
            chain: chain, repository: Repository(host: row["host"], name: row["repository"]), profile: file.profile)
    }
}
