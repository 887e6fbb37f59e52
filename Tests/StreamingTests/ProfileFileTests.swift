import Base
import Registry
import Streaming
import Testing

/// Tests of profile files: the round trip, and hostile input.
@Suite struct ProfileFileTests {
    static let repository = Repository(host: "registry.example:5000", name: "group/app")
    static let chain = Digest.of(Array("chain".utf8))

    static func entry(_ path: String, _ offset: UInt64 = 0, _ count: UInt64 = 10, time: UInt32 = 0, unread: UInt8 = 0)
        -> Profile.Entry
    {
        Profile.Entry(
            path: Array(path.utf8), range: ByteRange(offset: offset, end: offset + count), milliseconds: time,
            unread: unread)
    }

    static func document(
        version: String = "1", repository: String = "docker.io/library/debian", chain: String = "null",
        entries: String = "[]"
    ) -> String {
        "{\"rivuletProfile\":\(version),\"repository\":\"\(repository)\",\"chain\":\(chain),\"entries\":\(entries)}"
    }

    @Test(arguments: [chain, nil]) func readsWhatItWrites(_ chain: Digest?) throws {
        let file = ProfileFile(
            repository: Self.repository, chain: chain,
            profile: Profile(entries: [
                Self.entry("usr/lib/libc.so.6", 4096, 100, time: 5), Self.entry("a \"b\"\\\n\u{1}", time: .max),
                Self.entry("naïve/\u{1F600}", (1 << 53) - 10, 10, unread: .max),
            ]))
        #expect(try ProfileFile(bytes: file.encoded()) == file)
    }

    @Test func writesTheDocumentedFormat() throws {
        let file = ProfileFile(
            repository: Repository(host: "docker.io", name: "library/debian"), chain: nil,
            profile: Profile(entries: [Self.entry("usr/bin/env", 4096, 100, time: 5, unread: 1)]))
        #expect(
            String(decoding: try file.encoded(), as: UTF8.self)
                == #"{"entries":[["usr/bin/env",4096,100,5,1]],"repository":"docker.io/library/debian","rivuletProfile":1}"#
        )
        #expect(
            try ProfileFile(bytes: Array(Self.document(entries: #"[["usr/bin/env",4096,100,5,1]]"#).utf8)) == file)
    }

    static let bad: [String] =
        [
            "", "no JSON", "[]", "{}", String(repeating: "[", count: 100_000), document(version: "2"),
            document(version: "\"1\""), document(repository: ""), document(repository: "docker.io/Library/../x"),
            document(repository: "a b"), document(chain: "\"sha256:abc\""), document(chain: "\"\""),
            document(chain: "7"), document(entries: "{}"), document(entries: "[[]]"),
            document(entries: #"[["a",0,1,0]]"#),
        ]
        + [
            "/etc/passwd", "", ".", "..", "a/../b", "a/./b", "a//b", "a/", "a\\u0000b",
            String(repeating: "a", count: 256), String(repeating: "ab/", count: 1400) + "c",
        ].map { document(entries: "[[\"\($0)\",0,1,0,0]]") }
        + [
            "0,0,0,0", "18446744073709551615,1,0,0", "18446744073709551616,1,0,0", "0,9007199254740993,0,0", "-1,1,0,0",
            "0,-1,0,0", "0.5,1,0,0",
            "1e300,1,0,0", "0,1,4294967296,0", "0,1,0,256", "null,1,0,0", "\"0\",1,0,0",
        ].map { document(entries: "[[\"a\",\($0)]]") }

    @Test(arguments: bad) func refusesWhatIsNoProfile(_ text: String) {
        let error = #expect(throws: StreamingError.self) { try ProfileFile(bytes: Array(text.utf8)) }
        #expect(error?.code == .badProfile)
    }

    @Test func refusesNonUTF8() {
        let error = #expect(throws: StreamingError.self) { try ProfileFile(bytes: [0xFF, 0xFE, 0x00, 0x80]) }
        #expect(error?.code == .badProfile)
    }

    @Test func refusesOversizedFiles() {
        let entries = Array(repeating: #"["a",0,1,0,0]"#, count: Profile.maximumEntries + 1).joined(separator: ",")
        let many = Array(Self.document(entries: "[\(entries)]").utf8)
        let padding = [UInt8](repeating: UInt8(ascii: " "), count: ProfileFile.maximumSize)
        for bytes in [many, Array(Self.document().utf8) + padding] {
            let error = #expect(throws: StreamingError.self) { try ProfileFile(bytes: bytes) }
            #expect(error?.code == .badProfile)
        }
    }

    @Test func omitsEntriesThatAFileCannotHold() throws {
        var nameless = Self.entry("x")
        nameless.path = Array("bin/".utf8) + [0xFF, 0xFE]
        let long = Self.entry(String(repeating: "ab/", count: 1400) + "c")
        let file = ProfileFile(
            repository: Self.repository, chain: Self.chain,
            profile: Profile(entries: [
                Self.entry("first"), nameless, long, Self.entry("empty", 0, 0), Self.entry("last"),
            ]))
        #expect(
            try ProfileFile(bytes: file.encoded()).profile.entries == [Self.entry("first"), Self.entry("last")])
    }

    /// Writes a readable file even for the largest profile that can be recorded.
    @Test func writesOnlyFilesThatItCanRead() throws {
        let name = String(repeating: String(repeating: "\u{1}", count: 250) + "/", count: 8) + "f"
        for path in ["a", name] {
            let entries = (0...UInt64(path == "a" ? Profile.maximumEntries : 2000)).map { Self.entry(path, $0, 1) }
            let bytes = try ProfileFile(
                repository: Self.repository, chain: Self.chain, profile: Profile(entries: entries)
            ).encoded()
            let read = try ProfileFile(bytes: bytes).profile.entries
            #expect(read == Array(entries.prefix(read.count)), "the first of them, in order")
            #expect(read.count > 1000 && read.count < entries.count)
        }
    }
}

/// Tests of merging profiles with further starts.
@Suite struct ProfileMergeTests {
    static func names(_ profile: Profile) -> [String] {
        profile.entries.map { String(decoding: $0.path, as: UTF8.self) }
    }

    static func profile(_ names: String...) -> Profile {
        Profile(entries: names.map { ProfileFileTests.entry($0) })
    }

    @Test func putsTheLatestStartFirst() {
        let merged = Self.profile("a", "b", "c").merged(with: Self.profile("c", "d", "a"))
        #expect(Self.names(merged) == ["c", "d", "a", "b"])
        #expect(merged.entries.map(\.unread) == [0, 0, 0, 1])
    }

    @Test func dropsEntriesUnreadTwice() {
        let once = Self.profile("a", "b").merged(with: Self.profile("a"))
        #expect(Self.names(once) == ["a", "b"])
        #expect(Self.names(once.merged(with: Self.profile("a"))) == ["a"])
        #expect(once.merged(with: Self.profile("b")).entries.map(\.unread) == [0, 1], "what is read again is as new")
    }

    @Test func tellsPiecesOfAFileApart() {
        let first = Profile(entries: [ProfileFileTests.entry("a", 0), ProfileFileTests.entry("a", 10)])
        let merged = first.merged(with: Profile(entries: [ProfileFileTests.entry("a", 10, time: 7)]))
        #expect(
            merged.entries == [ProfileFileTests.entry("a", 10, time: 7), ProfileFileTests.entry("a", 0, unread: 1)])
    }

    @Test func ignoresAStartThatReadNothing() {
        let known = Profile(entries: (0..<20).map { ProfileFileTests.entry("\($0)") })
        #expect(known.merged(with: Self.profile("new")) == known)
        #expect(known.merged(with: Profile(entries: [])) == known)
        #expect(Self.names(known.merged(with: Self.profile("new", "too"))).prefix(2) == ["new", "too"])
    }

    /// Accepts any count of a file, since files from elsewhere may hold any.
    @Test func acceptsAnyTolerance() {
        let known = Profile(entries: [ProfileFileTests.entry("a", unread: .max)])
        #expect(Self.names(known.merged(with: Self.profile("b"))) == ["b"])
    }
}
