import Base
import LayerFormats
import TestSupport
import Testing

/// Tests with archives that are broken or made to break the reader. Each must give a typed error that names the place.
@Suite struct TarHostileTests {
    struct Damage: Sendable, CustomTestStringConvertible {
        var name: String
        var code: LayerFormatError.Code
        /// A part that the error message must contain.
        var says: String
        var archive: [UInt8]
        var testDescription: String { name }

        init(_ name: String, _ code: LayerFormatError.Code, _ says: String, _ parts: [UInt8]...) {
            self.name = name
            self.code = code
            self.says = says
            archive = Array(parts.joined())
        }

        /// Returns the damage of a pax header that contains exactly `text`.
        static func pax(_ name: String, _ text: String) -> Damage {
            Damage(name, .badArchive, "extension", TarBlock.extended("x", Array(text.utf8)), TarHostileTests.file)
        }

        /// Returns the damage of a pax header with one record.
        static func record(_ key: String, _ value: String) -> Damage {
            Damage("\(key)=\(value)", .badArchive, "extension", TarBlock.pax([(key, value)]), TarHostileTests.file)
        }
    }

    static let file = TarBlock("0", "the/file").sealed()
    static let first = TarBlock("0", "the/first").sealed()
    static let tooLong = [UInt8](repeating: 0x61, count: 4097)

    static let archives: [Damage] = [
        Damage("no archive", .badArchive, "byte 0", Samples.noise(bytes: 1024, seed: 1)),
        Damage("no header", .badArchive, "byte 512, after the/first", first, Samples.noise(bytes: 512, seed: 1)),
        Damage("one block of zeros", .badArchive, "at 1024", first, [UInt8](repeating: 0, count: 512), file),
        Damage("sparse file of GNU", .unsupported, "the/sparse", TarBlock("S", "the/sparse", format: .gnu).sealed()),
        Damage(
            "sparse directory", .badArchive, "the/sparse",
            TarBlock.pax([("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "9"), ("GNU.sparse.name", "the/sparse")]),
            TarBlock("5", "GNUSparseFile.1/sparse").sealed()),
        Damage(
            "parts in a wrong order", .badArchive, "within another",
            TarBlock.pax([("GNU.sparse.map", "4,1,0,1"), ("GNU.sparse.size", "9")]), file),
        Damage(
            "a part outside the file", .badArchive, "outside",
            TarBlock.pax([("GNU.sparse.map", "4,9"), ("GNU.sparse.size", "9")]), file),
        Damage(
            "less data than the map says", .badArchive, "less data",
            TarBlock.pax([("GNU.sparse.map", "4,5"), ("GNU.sparse.size", "9")]), file),
        Damage(
            "an endless sparse file", .limit, "the/file",
            TarBlock.pax([("GNU.sparse.map", "0,0"), ("GNU.sparse.size", "9223372036854775807")]), file),
        Damage("unknown type", .unsupported, "the/volume", TarBlock("V", "the/volume", format: .gnu).sealed()),
        Damage(
            "large owner", .unsupported, "the/file",
            TarBlock("0", "the/file").with { $0.binary(1 << 32, at: 108, 8) }.sealed()),
        Damage("large group of pax", .unsupported, "the/file", TarBlock.pax([("gid", "4294967296")]), file),
        Damage(
            "large device", .unsupported, "the/device",
            TarBlock("3", "the/device").with { $0.binary(1 << 32, at: 329, 8) }.sealed()),
        Damage(
            "negative size", .badArchive, "byte 0",
            TarBlock("0", "the/file").with { $0.binary(-1, at: 124, 12) }.sealed()),
        Damage("no number", .badArchive, "byte 0", TarBlock("0", "f").with { $0.put("9".utf8, at: 108, 8) }.sealed()),
    ]

    static let lengths: [Damage] = [
        Damage("name of pax", .limit, "aaa", TarBlock.extended("x", TarWriter.record("path", tooLong)), file),
        Damage("name of GNU", .limit, "aaa", TarBlock.extended("L", tooLong), file),
        Damage("very long name", .limit, "extension", TarBlock("L", "extension", size: 1 << 30).sealed()),
        Damage("link", .limit, "the/link", TarBlock.extended("K", tooLong), TarBlock("2", "the/link").sealed()),
        Damage("pax header", .limit, "extension", TarBlock("x", "extension", size: 1_048_577).sealed()),
        Damage("global header", .limit, "extension", TarBlock("g", "extension", size: 1 << 30).sealed()),
        Damage(
            "attribute", .limit, "the/file",
            TarBlock.extended("x", TarWriter.record("SCHILY.xattr.user.a", [UInt8](repeating: 0, count: 65_536))),
            file),
        Damage(
            "name of an attribute", .limit, "the/file",
            TarBlock.pax([("SCHILY.xattr.user." + String(repeating: "a", count: 251), "b")]), file),
        Damage(
            "many attributes", .limit, "extension",
            TarBlock.pax((0..<10_000).map { ("SCHILY.xattr.user.\($0)", "") }), file),
    ]

    static let headers: [Damage] = [
        .pax("no length", "a=b\n"), .pax("no space", "6"), .pax("only digits", "999999999999999999999999999"),
        .pax("length 0", "0 a=b\n"), .pax("length too small", "1 a=b\n"), .pax("length of less", "5 a=b\n"),
        .pax("length of more", "7 a=b\n"), .pax("huge length", "9223372036854775807 a=b\n"),
        .pax("negative length", "-6 a=b\n"), .pax("no end", "6 a=bc"), .pax("no value", "6 abc\n"),
        .pax("no key", "5 =b\n"), .pax("nothing", "2 "), .pax("space only", " "), .pax("only a line", "3 \n"),
        .pax("zeros after a record", "6 a=b\n\0"),
        Damage("global", .badArchive, "extension", TarBlock.extended("g", Array("1 a=b\n".utf8)), file),
    ]

    static let records: [Damage] = [
        .record("path", "a\0b"), .record("linkpath", "\0"), .record("a\0b", "c"), .record("size", "-1"),
        .record("size", "9223372036854775808"), .record("size", "99999999999999999999"), .record("uid", "x"),
        .record("gid", "1 "), .record("mtime", "-"), .record("mtime", ".5"), .record("mtime", "1.-5"),
        .record("mtime", "1.5.5"), .record("mtime", "9223372036854775808"), .record("mtime", "1e3"),
    ]

    @Test(arguments: archives + lengths + headers + records) func damage(_ damage: Damage) throws {
        let error = try #require(SeenEntry.failure(joined(damage.archive, TarBlock.end)))
        #expect(error.code == damage.code && error.message.contains(damage.says), "\(error)")
    }

    /// Survives an archive that is cut at any length. It reports the cut, unless the rest still reads as a valid
    /// archive.
    @Test func cutShort() throws {
        let whole = try SeenEntry.read(TarReaderTests.everything)
        let length = TarReaderTests.everything.count
        var counts = Array(stride(from: 0, to: length, by: 37))
        for block in stride(from: 512, to: length, by: 512) { counts += [block - 1, block, block + 1] }
        for count in counts {
            let archive = Array(TarReaderTests.everything[..<count])
            guard let error = SeenEntry.failure(archive) else {
                let seen = try SeenEntry.read(archive)
                #expect(seen == Array(whole[..<seen.count]), "\(count)")
                continue
            }
            #expect(error.code == .badArchive, "\(count): \(error)")
        }
    }

    @Test func cutShortWithin() throws {
        let archive = TarWriter.archive([.file("the/file", Samples.noise(bytes: 1000, seed: 1))])
        let within = try #require(SeenEntry.failure(Array(archive[..<1000])))
        #expect(within.message.contains("the/file") && within.message.contains("512 bytes"), "\(within)")
        let header = try #require(SeenEntry.failure(Array(archive[..<100])))
        #expect(header.code == .badArchive && header.message.contains("header at 0"), "\(header)")
        // A pax header without the entry that it describes.
        let lonely = try #require(SeenEntry.failure(TarBlock.pax([("path", "name")])))
        #expect(lonely.code == .badArchive, "\(lonely)")
    }

    @Test(arguments: [UInt64(1), 2, .random(in: 0...UInt64.max)]) func damagedBytes(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            var archive = TarReaderTests.everything
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                archive[Int.random(in: 0..<archive.count, using: &random)] = UInt8(truncatingIfNeeded: random.next())
            }
            // The checksums of headers hide most damage from the checks after them.
            for start in stride(from: 0, to: archive.count, by: 512) where archive[start + 257] == 0x75 {
                var block = TarBlock("0", "")
                block.bytes = Array(archive[start..<start + 512])
                archive.replaceSubrange(start..<start + 512, with: block.sealed())
            }
            _ = SeenEntry.failure(archive)
        }
    }

    @Test func entriesAreCounted() {
        var limits = TarLimits()
        limits.entryCount = 2
        let archive = TarWriter.archive([.directory("a"), .directory("b"), .directory("c")])
        #expect(SeenEntry.failure(archive, limits: limits)?.code == .limit)
        limits.entryCount = 3
        #expect(SeenEntry.failure(archive, limits: limits) == nil)
    }

    @Test func errorsStay() throws {
        var reader = TarReader()
        for part in [Samples.noise(bytes: 512, seed: 1), TarHostileTests.file, TarBlock.end] {
            let error = #expect(throws: LayerFormatError.self) {
                try part.withUnsafeBytes { (bytes) throws in
                    try reader.push(bytes) { (_, _) throws(LayerFormatError) in Issue.record("an event") }
                }
            }
            #expect(error?.code == .badArchive)
        }
        #expect(throws: LayerFormatError.self) { try reader.finish() }
    }

    @Test func errorsOfTheSinkPass() throws {
        var reader = TarReader()
        let error = #expect(throws: LayerFormatError.self) {
            try TarHostileTests.file.withUnsafeBytes { (bytes) throws in
                try reader.push(bytes) { (_, _) throws(LayerFormatError) in
                    throw LayerFormatError(.badResponse, "the sink's own")
                }
            }
        }
        #expect(error?.code == .badResponse)
    }
}
