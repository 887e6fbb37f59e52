import Base
import Linux
import NodeDatabase
import Registry
import Streaming
import Testing

/// Which profile an image starts with, and how long profiles are kept.
@Suite struct ProfileRecordsTests {
    static let app = Repository(host: "registry.example", name: "group/app")
    static let other = Repository(host: "registry.example", name: "group/other")

    static func chain(_ name: String) -> Digest { Digest.of(Array(name.utf8)) }

    /// A file whose one entry tells it from others.
    static func file(_ chain: String?, _ repository: Repository = app, entry: String) throws -> [UInt8] {
        let range = ByteRange(offset: 0, end: 10)
        return try ProfileFile(
            repository: repository, chain: chain.map(Self.chain),
            profile: Profile(entries: [.init(path: Array(entry.utf8), range: range, milliseconds: 0)])
        ).encoded()
    }

    static func names(_ kept: KeptProfile?) -> [String]? {
        kept?.profile.entries.map { String(decoding: $0.path, as: UTF8.self) }
    }

    static func withRecords(_ body: (ProfileRecords) throws -> Void) throws {
        try withTemporaryDirectory { directory in
            let state = try StateDatabase(root: directory)
            try body(ProfileRecords(state))
            try state.close()
        }
    }

    @Test func theChainsOwnIsPreferredThenTheNewestOfTheRepository() throws {
        try Self.withRecords { records in
            #expect(try records.find(Self.chain("1"), Self.app) == nil)
            try records.keep(file: Self.file("1", entry: "own"))
            try records.keep(file: Self.file("2", entry: "newer"))
            try records.keep(file: Self.file("3", Self.other, entry: "another's"))
            #expect(try Self.names(records.find(Self.chain("1"), Self.app)) == ["own"])
            #expect(try Self.names(records.find(Self.chain("new"), Self.app)) == ["newer"])
            #expect(try Self.names(records.find(Self.chain("new"), Self.other)) == ["another's"])
            #expect(
                try Self.names(records.find(Self.chain("1"), Self.other)) == ["another's"],
                "another repository that states the same chain ID")
        }
    }

    @Test func anotherRepositoryHasNone() throws {
        try Self.withRecords { records in
            try records.keep(file: Self.file("1", entry: "a"))
            for repository in [Self.other, Repository(host: "elsewhere.example", name: Self.app.name)] {
                #expect(try records.find(Self.chain("new"), repository) == nil)
            }
        }
    }

    @Test func aProfileReplacesThatOfItsChainAndIsTheNewest() throws {
        try Self.withRecords { records in
            try records.keep(file: Self.file("1", entry: "old"))
            try records.keep(file: Self.file("2", entry: "between"))
            try records.keep(file: Self.file("1", entry: "new"))
            #expect(try records.all().map(Self.names) == [["new"], ["between"]])
            #expect(try Self.names(records.find(Self.chain("else"), Self.app)) == ["new"])
            #expect(try records.file(of: Self.chain("1")) == Self.file("1", entry: "new"))
            #expect(try records.file(of: Self.chain("3")) == nil)
        }
    }

    @Test func aFileWithoutAChainServesItsRepositoryAndReplacesItself() throws {
        try Self.withRecords { records in
            for _ in 0..<2 { try records.keep(file: Self.file(nil, entry: "a")) }
            let kept = try #require(try records.all().first)
            #expect(try records.all().count == 1)
            #expect(try Self.names(records.find(Self.chain("any"), Self.app)) == ["a"])
            let exported = try #require(try records.file(of: kept.chain))
            try records.keep(file: exported)
            #expect(try records.all().count == 1, "exported and imported it is still the same")
        }
    }

    @Test func whatIsNoProfileIsNotKept() throws {
        try Self.withRecords { records in
            let error = try #require(throws: StreamingError.self) { try records.keep(file: Array("{}".utf8)) }
            #expect(error.code == .badProfile)
            #expect(try records.all().isEmpty)
        }
    }

    @Test func theOldestGoesWhenThereAreTooMany() throws {
        try Self.withRecords { records in
            for number in 0..<ProfileRecords.maximumProfiles {
                try records.keep(file: Self.file("\(number)", entry: "\(number)"))
            }
            try records.keep(file: Self.file("0", entry: "again"))
            #expect(try records.all().count == ProfileRecords.maximumProfiles)
            try records.keep(file: Self.file("one more", entry: "one more"))
            #expect(try records.all().count == ProfileRecords.maximumProfiles)
            #expect(try records.file(of: Self.chain("1")) == nil)
            #expect(try records.file(of: Self.chain("0")) != nil)
            #expect(try records.file(of: Self.chain("2")) != nil)
        }
    }

    @Test func profilesOutliveTheDaemon() throws {
        try withTemporaryDirectory { directory in
            // It holds its lock for as long as it exists.
            do {
                let first = try StateDatabase(root: directory)
                try ProfileRecords(first).keep(file: Self.file("1", entry: "older"))
                try ProfileRecords(first).keep(file: Self.file("2", entry: "newer"))
                try first.close()
            }
            let second = try StateDatabase(root: directory)
            #expect(try ProfileRecords(second).all().map(Self.names) == [["newer"], ["older"]])
            #expect(try Self.names(ProfileRecords(second).find(Self.chain("1"), Self.app)) == ["older"])
            try second.close()
        }
    }
}
