import LayerFormats
import LayerIndex
import TestSupport
import Testing

/// Tests of valid archives in all their forms.
@Suite struct TarReaderTests {
    static let long = "long/" + String(repeating: "directory/", count: 20) + "name"

    static let entries: [TarEntry] = [
        .directory("d/", mode: 0o1777), .file("d/empty", ""),
        .file("d/f", "0123456789", mode: 0o4755).owned(by: 70_000, 5), .symlink("s", to: "d/f"),
        .hardlink("h", to: "d/f"), .node(.character, "c", 1, 3), .node(.block, "b", 8, 1), .node(.fifo, "p"),
        .file("attributes", "abc").withAttribute("user.binary", [0, 0x0A, 0x3D, 0xFF]).withAttribute("user.empty", []),
        .file("block", Samples.noise(bytes: 512, seed: 1)), .file("more", Samples.noise(bytes: 5000, seed: 2)),
        .file(long, "long").owned(by: 3_000_000, 4_000_000), .symlink("l", to: long), .hardlink("hl", to: long),
        .file("old", "old").modified(at: -5),
    ]

    /// An archive with one entry of every kind.
    static let everything = joined(
        TarBlock.pax([("comment", "for all that follows")], type: "g"),
        Array(TarWriter.archive(entries).dropLast(1024)),
        TarBlock.extended("L", Array(long.utf8) + [0]), TarBlock.extended("K", Array("target".utf8)),
        TarBlock("2", "cut").sealed(), TarBlock("7", "contiguous", size: 3).followed(by: [1, 2, 3]),
        TarBlock("\0", "v7", size: 1, format: .v7).followed(by: [1]), TarBlock.end)

    private func one(_ parts: [UInt8]...) throws -> SeenEntry {
        let seen = try SeenEntry.read(Array(parts.joined()) + TarBlock.end)
        return try #require(seen.count == 1 ? seen.first : nil, "\(seen.count) entries")
    }

    @Test func readsWhatIsWritten() throws {
        let seen = try SeenEntry.read(TarWriter.archive(Self.entries))
        try #require(seen.count == Self.entries.count)
        for (entry, expected) in zip(seen, Self.entries) {
            let kind: EntryKind =
                switch expected.kind {
                case .directory: .directory
                case .regular: .regular
                case .symlink: .symlink
                case .hardlink: .hardlink
                case .character: .character
                case .block: .block
                case .fifo: .fifo
                }
            let attributes = NodeAttributes(
                mode: UInt16(expected.mode), uid: expected.uid, gid: expected.gid, modifiedSeconds: expected.modified,
                size: UInt64(expected.contents.count), deviceMajor: expected.deviceMajor,
                deviceMinor: expected.deviceMinor)
            #expect(entry.path == expected.path && entry.kind == kind && entry.link == expected.linkTarget)
            #expect(entry.attributes == attributes, "\(entry.name)")
            #expect(entry.xattrs == expected.xattrs.flatMap { [Array($0.name.utf8), $0.value] }, "\(entry.name)")
            #expect(entry.content == expected.contents, "\(entry.name)")
        }
    }

    @Test func saysWhereThingsAre() throws {
        let seen = try SeenEntry.read(
            TarWriter.archive([
                .file("a", Samples.noise(bytes: 513, seed: 1)), .directory("d/"),
                .file("x", "y").withAttribute("user.a", []),
            ]))
        #expect(seen.map(\.offset) == [0, 1536, 3072])
        #expect(seen.map(\.contentOffset) == [512, nil, 3584])
        #expect(seen.map(\.end) == [1025, 2048, 3585])
    }

    // MARK: - Pieces

    @Test func byteByByte() throws {
        let whole = try SeenEntry.read(Self.everything)
        #expect(whole.count == Self.entries.count + 3)
        #expect(try SeenEntry.read(Self.everything, piece: { 1 }) == whole)
    }

    @Test(arguments: [UInt64(1), 2, .random(in: 0...UInt64.max), .random(in: 0...UInt64.max)])
    func randomPieces(seed: UInt64) throws {
        let whole = try SeenEntry.read(Self.everything)
        var random = SeededRandom(seed: seed)
        for largest in [3, 500, 520, 5000] {
            let pieces = try SeenEntry.read(Self.everything, piece: { Int.random(in: 1...largest, using: &random) })
            #expect(pieces == whole, "seed \(seed), pieces of up to \(largest)")
        }
    }

    @Test func contentIsNotCopied() throws {
        let archive = TarWriter.archive([.file("f", Samples.noise(bytes: 10_000, seed: 3))])
        var reader = TarReader()
        try archive.withUnsafeBytes { (all) throws in
            try reader.push(all) { (event, offset) throws(LayerFormatError) in
                guard case .content(let bytes) = event else { return }
                #expect(bytes.baseAddress == all.baseAddress.map { $0 + Int(offset) } && bytes.count == 10_000)
            }
        }
    }

    // MARK: - Headers

    @Test func types() throws {
        let kinds: [(Character, EntryKind)] = [
            ("0", .regular), ("\0", .regular), ("7", .regular), ("1", .hardlink), ("2", .symlink), ("3", .character),
            ("4", .block), ("5", .directory), ("6", .fifo),
        ]
        for (type, kind) in kinds { #expect(try one(TarBlock(type, "name").sealed()).kind == kind) }
    }

    /// Recognizes a directory by its slash if the archive is older than ustar. With an explicit type, the slash means
    /// nothing.
    @Test func directoriesOfOldArchives() throws {
        #expect(try one(TarBlock("\0", "name/", format: .v7).sealed()).kind == .directory)
        #expect(try one(TarBlock("\0", "name/", size: 700, format: .v7).sealed()).size == 0)
        #expect(try one(TarBlock("0", "name/").sealed()).kind == .regular)
        let long = TarBlock.extended("L", Array("name/".utf8))
        #expect(try one(long, TarBlock("\0", "name", format: .gnu).sealed()).kind == .directory)
    }

    /// Ignores the size of an entry that has no content: the next header follows at once.
    @Test(arguments: ["1", "2", "3", "4", "5", "6"] as [Character]) func sizesOfEmptyThings(type: Character) throws {
        let archive = joined(TarBlock(type, "first", size: 5000).sealed(), TarBlock("0", "second").sealed())
        #expect(try SeenEntry.read(archive).map(\.size) == [0, 0])
        let pax = joined(TarBlock.pax([("size", "5000")]), archive)
        #expect(try SeenEntry.read(pax).map(\.name) == ["first", "second"])
    }

    @Test(arguments: TarBlock.Format.allCases) func prefixes(format: TarBlock.Format) throws {
        let block = TarBlock("0", "name", format: format).with {
            $0.put("some/prefix".utf8, at: 345, 131)
            // star's prefix is shorter: its access time begins where the prefix ends.
            if format == .star { $0.octal(0o12345, at: 476, 12) }
        }
        // Text in GNU's time field is a prefix by mistake: see TarHeader.
        let expected = format == .v7 ? "name" : "some/prefix/name"
        #expect(try one(block.sealed()).name == expected)
    }

    @Test func fullFieldsHaveNoEnd() throws {
        let name = String(repeating: "n", count: 100)
        let prefix = String(repeating: "p", count: 155)
        let block = TarBlock("2", name).with {
            $0.put(prefix.utf8, at: 345, 155)
            $0.put(name.utf8, at: 157, 100)
        }
        let entry = try one(block.sealed())
        #expect(entry.name == prefix + "/" + name && entry.target == name)
    }

    @Test func binaryNumbers() throws {
        let block = TarBlock("3", "name", format: .gnu).with {
            $0.binary(4_000_000_000, at: 108, 8)
            $0.binary(3_000_000_000, at: 116, 8)
            $0.binary(-1_000_000_000_000, at: 136, 12)
            $0.binary(7, at: 329, 8)
            $0.binary(1_000_000, at: 337, 8)
        }
        let attributes = try one(block.sealed()).attributes
        #expect(attributes.uid == 4_000_000_000 && attributes.gid == 3_000_000_000)
        #expect(attributes.modifiedSeconds == -1_000_000_000_000)
        #expect(attributes.deviceMajor == 7 && attributes.deviceMinor == 1_000_000)
    }

    @Test func modesAreWithoutTypes() throws {
        let block = TarBlock("0", "name").with { $0.octal(0o106755, at: 100, 8) }
        #expect(try one(block.sealed()).attributes.mode == 0o6755)
    }

    // MARK: - Extensions

    /// A header called `name` without any extension.
    static let plain = TarBlock("0", "name").sealed()

    @Test func paxOverridesTheHeader() throws {
        let records = TarBlock.pax([
            ("path", "päth"), ("size", "3"), ("uid", "4294967295"), ("gid", "12"), ("mtime", "12.5"), ("atime", "1"),
        ])
        let entry = try one(records, TarBlock("0", "name", size: 3).followed(by: [1, 2, 3]))
        #expect(entry.name == "päth" && entry.size == 3 && entry.attributes.size == 3)
        #expect(entry.attributes.uid == .max && entry.attributes.gid == 12)
        #expect(entry.attributes.modifiedSeconds == 12 && entry.attributes.modifiedNanoseconds == 500_000_000)
        // The header has another size, but the record's size counts.
        let content = [UInt8](repeating: 7, count: 600)
        let large = try one(
            TarBlock.pax([("size", "600")]), TarBlock("0", "name", size: 1).sealed(), content, TarWriter.padding(600))
        #expect(large.content == content)
        let link = try one(TarBlock.pax([("linkpath", "there")]), TarBlock("2", "name").sealed())
        #expect(link.target == "there")
    }

    struct Time: Sendable {
        var text: String
        var seconds: Int64
        var nanoseconds: UInt32

        init(_ text: String, _ seconds: Int64, _ nanoseconds: UInt32) {
            self.text = text
            self.seconds = seconds
            self.nanoseconds = nanoseconds
        }
    }

    static let times: [Time] = [
        Time("1", 1, 0), Time("1.", 1, 0), Time("+1.5", 1, 500_000_000), Time("1.123456789", 1, 123_456_789),
        Time("1.0000000019", 1, 1), Time("-1", -1, 0), Time("-1.25", -2, 750_000_000), Time("-0.5", -1, 500_000_000),
        Time("-0", 0, 0), Time("9223372036854775807.999999999", .max, 999_999_999),
        Time("-9223372036854775807.1", .min, 900_000_000),
    ]

    @Test(arguments: times) func readsTime(_ time: Time) throws {
        let attributes = try one(TarBlock.pax([("mtime", time.text)]), Self.plain).attributes
        #expect(attributes.modifiedSeconds == time.seconds && attributes.modifiedNanoseconds == time.nanoseconds)
    }

    @Test func lastRecordCounts() throws {
        let twice = try one(TarBlock.pax([("path", "first"), ("path", "second")]), Self.plain)
        #expect(twice.name == "second")
        // An empty value revokes an earlier record.
        let link = TarBlock("2", "name").sealed()
        let plain = try one(link)
        for (key, value) in [("path", "a"), ("linkpath", "a"), ("size", "9"), ("uid", "9"), ("mtime", "9")] {
            let entry = try one(TarBlock.pax([(key, value), (key, "")]), link)
            #expect(entry.path == plain.path && entry.link == plain.link && entry.attributes == plain.attributes)
        }
    }

    /// Keeps an attribute with an empty value, which would revoke any other record.
    @Test func attributes() throws {
        // The key ends at the first `=`.
        let records = TarWriter.record("SCHILY.xattr.user.a=b", [])
        let entry = try one(TarBlock.extended("x", records), Self.plain)
        #expect(entry.xattrs == [Array("user.a".utf8), Array("b=".utf8)])
        let empty = TarBlock.pax([("SCHILY.xattr.user.e", ""), ("LIBARCHIVE.xattr.user.l", "AA")])
        #expect(try one(empty, Self.plain).xattrs == [Array("user.e".utf8), []])
    }

    @Test func gnuNamesWinOverPax() throws {
        let name = TarBlock.extended("L", Array("gnu".utf8) + [0])
        let link = TarBlock.extended("K", Array("gnuLink".utf8) + [0])
        let pax = TarBlock.pax([("path", "pax"), ("linkpath", "paxLink")])
        for extensions in [joined(name, link, pax), joined(pax, link, name)] {
            let entry = try one(extensions, TarBlock("1", "name").sealed())
            #expect(entry.name == "gnu" && entry.target == "gnuLink")
        }
    }

    /// Replaces all records of the first pax header, as Go does with its map.
    @Test func secondPaxHeaderReplacesTheFirst() throws {
        let entry = try one(
            TarBlock.pax([("path", "a"), ("uid", "9")]), TarBlock.pax([("gid", "8")]), Self.plain)
        #expect(entry.name == "name" && entry.attributes.uid == 0 && entry.attributes.gid == 8)
    }

    @Test func extensionsAreForOneEntry() throws {
        let records = TarBlock.pax([("path", "a"), ("SCHILY.xattr.user.a", "b")])
        let seen = try SeenEntry.read(joined(records, Self.plain, Self.plain))
        #expect(seen.map(\.name) == ["a", "name"] && seen.last?.xattrs == [])
    }

    /// Ignores global headers, which Go and containerd read without applying them.
    @Test func globalHeadersAreIgnored() throws {
        let records = TarBlock.pax([("path", "global"), ("uid", "5"), ("GNU.sparse.major", "1")], type: "g")
        let entry = try one(records, Self.plain)
        #expect(entry.name == "name" && entry.attributes.uid == 0)
    }

    @Test func emptyExtensions() throws {
        #expect(try one(TarBlock.pax([]), TarBlock.extended("L", []), Self.plain).name == "name")
    }

    // MARK: - The end

    @Test func ends() throws {
        let entry = Array(TarWriter.archive([.file("name", "contents")]).dropLast(1024))
        let zeros = [UInt8](repeating: 0, count: 512)
        let ends: [[UInt8]] = [
            [], zeros, TarBlock.end, joined(TarBlock.end, Samples.noise(bytes: 2000, seed: 4)),
            joined(TarBlock.end, zeros),
        ]
        for end in ends { #expect(try SeenEntry.read(joined(entry, end)).count == 1) }
        // The last block may be incomplete.
        #expect(try SeenEntry.read(Array(entry.prefix(520))).first?.content == Array("contents".utf8))
        #expect(try SeenEntry.read([]).isEmpty)
        #expect(try SeenEntry.read(TarBlock.end).isEmpty)
    }

    @Test func worksWithoutOffsets() throws {
        var names: [[UInt8]] = []
        var reader = TarReader()
        try TarWriter.archive(Self.entries).withUnsafeBytes { (all) throws in
            try reader.push(all) { (event, _) throws(LayerFormatError) in
                if case .entry(let entry, _) = event { names.append(entry.path) }
            }
        }
        try reader.finish()
        #expect(names == Self.entries.map(\.path))
    }
}
