import Base
import LayerFormats
import LayerIndex
import TestSupport
import Testing

/// Tests with blobs that are broken or made to break the reader. Each must give a typed error.
@Suite struct EstargzHostileTests {
    static let entries: [TarEntry] = [
        .directory("d/"), .file("d/f", "0123456789"), .symlink("s", to: "d/f"), .hardlink("h", to: "d/f"),
        .file("g", "abc").withAttribute("user.x", [1, 2, 3]),
    ]

    static var options: EstargzOptions {
        var options = EstargzOptions()
        options.chunkSize = 4
        return options
    }

    struct Damage: Sendable, CustomTestStringConvertible {
        var name: String
        var codes: Set<LayerFormatError.Code>
        var edit: @Sendable (inout [TOCEntry]) -> Void
        var testDescription: String { name }

        init(
            _ name: String, _ codes: Set<LayerFormatError.Code> = [.badTOC],
            _ edit: @escaping @Sendable (inout [TOCEntry]) -> Void
        ) {
            self.name = name
            self.codes = codes
            self.edit = edit
        }
    }

    // The TOC's entries: 0 is d/, 1 is d/f, 2 and 3 are its chunks, 4 is s, 5 is h, 6 is g.
    static let damages: [Damage] = [
        Damage("size too large") { toc in
            toc[1].size = 11
            toc[3].chunkSize = 2
        },
        Damage("size too small") { toc in
            toc[1].size = 9
            toc[3].chunkSize = 2
        },
        Damage("size zero with chunks") { $0[1].size = 0 },
        Damage("huge size") { $0[1].size = .max >> 4 },
        Damage("huge size of one chunk", [.badTOC, .limit]) { $0[6].size = 1 << 40 },
        Damage("negative size") { $0[1].size = -10 },
        Damage("chunk twice") { $0[2].chunkOffset = 0 },
        Damage("chunks overlap") { $0[2].chunkOffset = 3 },
        Damage("hole between chunks") { $0[2].chunkOffset = 5 },
        Damage("chunks out of order") { $0.swapAt(2, 3) },
        Damage("chunk without a file") { $0.remove(at: 1) },
        Damage("chunk after a link") { $0.swapAt(3, 4) },
        Damage("chunk after a small file") { $0.append($0[3]) },
        Damage("chunk missing") { $0.remove(at: 3) },
        Damage("chunk larger than the rest") { $0[2].chunkSize = 100 },
        Damage("huge chunk") { $0[2].chunkSize = .max >> 4 },
        Damage("first chunk not at 0") { $0[1].chunkOffset = 1 },
        Damage("offset past the end") { $0[3].offset = 1 << 40 },
        Damage("offset in the TOC") { $0[6].offset = ($0[6].offset ?? 0) + 200 },
        Damage("offsets go back") { $0[6].offset = $0[1].offset },
        Damage("offsets twice") { $0[2].offset = $0[1].offset },
        Damage("huge inner offset", [.badTOC, .limit]) { $0[6].innerOffset = 1 << 50 },
        Damage("no chunk digest", [.unverified]) { $0[2].chunkDigest = nil },
        Damage("no digest at all", [.unverified]) {
            $0[6].chunkDigest = nil
            $0[6].digest = nil
        },
        Damage("hard link to nothing") { $0[5].linkName = Array("nothing".utf8) },
        Damage("hard link to itself") { $0[5].linkName = Array("h".utf8) },
        Damage("hard link to a directory") { $0[5].linkName = Array("d".utf8) },
        Damage("hard link without a target") { $0[5].linkName = nil },
        Damage("hard links in a circle") { toc in
            toc[5].linkName = Array("h2".utf8)
            var second = toc[5]
            second.name = Array("h2".utf8)
            second.linkName = Array("h".utf8)
            toc.append(second)
        },
        Damage("symlink without a target") { $0[4].linkName = nil },
        Damage("entry below a file") { $0[4].name = Array("d/f/below".utf8) },
        Damage("name too long") { $0[4].name = [UInt8](repeating: 0x61, count: 256) },
        Damage("path too long", [.limit]) { $0[4].name = Array(String(repeating: "abcdefg/", count: 600).utf8) },
        Damage("nested too deeply", [.limit]) { $0[4].name = Array(String(repeating: "a/", count: 2000).utf8) },
        Damage("NUL in a name") { $0[4].name = [0x61, 0, 0x62] },
        Damage("unknown type") { $0[4].type = "door" },
        Damage("no type") { $0[4].type = "" },
        Damage("device number too large") { toc in
            toc[4].type = "char"
            toc[4].devMajor = 5000
        },
        Damage("negative owner") { $0[4].uid = -1 },
        Damage("owner too large") { $0[4].gid = 1 << 32 },
        Damage("mode negative") { $0[4].mode = -1 },
        Damage("time of nonsense") { $0[4].modtime = "yesterday" },
        Damage("attribute too large", [.limit]) { $0[6].xattrs = [("user.x", [UInt8](repeating: 1, count: 70_000))] },
        Damage("a key twice") { $0[4].extra = [#""name": "other""#] },
        Damage("a key in another case") { $0[4].extra = [#""Digest": "sha256:""#] },
        Damage("whiteout of nothing") { $0[4].name = Array("d/.wh.".utf8) },
    ]

    @Test(arguments: damages)
    func damagedTOC(damage: Damage) {
        let blob = EstargzBlob.make(Self.entries, Self.options, edit: damage.edit)
        let code = failure { try blob.open() }
        #expect(code.map(damage.codes.contains) == true, "\(String(describing: code))")
        // Without a digest for the TOC, the damage still causes only an error.
        #expect(failure { try blob.open(allowUnverifiedTOC: true, annotated: false) } == code)
    }

    /// Takes the later of two entries with the same name, as unpacking the archive does.
    @Test func namesThatComeTwice() throws {
        let blob = EstargzBlob.make(
            Self.entries + [.file("d/f", "another"), .directory("d/", mode: 0o700)], Self.options)
        let layer = try blob.opened()
        #expect(try layer.contents("d/f") == Array("another".utf8))
        #expect(try layer.node("d").permissions == 0o700)
    }

    @Test func everyFlippedBitOfTOCAndFooter() throws {
        let blob = EstargzBlob.make(Self.entries, Self.options)
        let whole = try blob.open()
        var random = SeededRandom(seed: 11)
        var unnoticed = 0
        for place in blob.tocOffset..<blob.bytes.count {
            var bytes = blob.bytes
            bytes[place] ^= 1 << UInt8(random.next() % 8)
            let code = failure {
                let index = try Self.index(bytes, blob)
                // Some bits have no meaning: those of the gzip header (flags, time, system), those after the end of the
                // compressed data in its last byte, and those that select which of many zeros are repeated. A change of
                // such a bit changes nothing else.
                #expect(index.tree == whole.tree && index.chunks == whole.chunks)
                unnoticed += 1
            }
            #expect(code != nil || place < blob.bytes.count - 51, "a bit of the footer")
        }
        #expect(unnoticed < 16)
    }

    @Test func everyLengthOfTheBlob() {
        let blob = EstargzBlob.make(Self.entries, Self.options)
        for count in 0..<blob.bytes.count { #expect(Self.open(Array(blob.bytes[..<count]), blob) != nil) }
    }

    /// Refuses a damaged blob, unless the damage hit bytes without a meaning, such as the time in a gzip header. In
    /// that case, the layer is the same as before.
    @Test(arguments: 0..<20)
    func randomDamage(round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let blob = EstargzBlob.make(Self.entries, Self.options)
        let whole = try blob.open()
        for _ in 0..<50 {
            var bytes = blob.bytes
            for _ in 0..<Int.random(in: 1...20, using: &random) {
                let place = Int.random(in: blob.tocOffset..<bytes.count, using: &random)
                if random.next() % 3 == 0 { bytes.remove(at: place) } else { bytes[place] = UInt8(random.next() & 255) }
                if bytes.count <= blob.tocOffset { break }
            }
            _ = failure {
                let index = try Self.index(bytes, blob)
                #expect(index.tree == whole.tree && index.chunks == whole.chunks, "seed \(seed)")
            }
        }
    }

    /// Reads or refuses variants of the TOC's archive around the JSON text.
    @Test func archivesAroundTheTOC() throws {
        let blob = EstargzBlob.make(Self.entries, Self.options)
        let good = TarEntry.file("stargz.index.json", blob.tocJSON)
        func open(_ tar: [UInt8], level: Int32 = 6) -> LayerFormatError.Code? {
            let payload = Array(blob.bytes[..<blob.tocOffset])
            let bytes = payload + Compressed.gzip(tar) + EstargzBlob.footer(tocOffset: UInt64(payload.count))
            return Self.open(bytes, blob)
        }
        #expect(open(TarWriter.archive([good])) == nil)
        #expect(open(TarWriter.archive([good]) + [UInt8](repeating: 0, count: 9000)) == nil)
        // An archive without its end marker is valid.
        #expect(open(TarWriter.header(good) + blob.tocJSON) == nil)
        #expect(open(TarWriter.archive([good, good])) == .badTOC)
        #expect(open(TarWriter.archive([.file("other.json", blob.tocJSON)])) == .badTOC)
        #expect(open(TarWriter.archive([.file("./stargz.index.json", blob.tocJSON)])) == .badTOC)
        #expect(open(TarWriter.archive([.file("x", "y"), good])) == .badTOC)
        #expect(open(TarWriter.archive([.symlink("stargz.index.json", to: "x")])) == .badTOC)
        #expect(open(TarWriter.archive([])) == .badTOC)
        #expect(open([]) == .badTOC)
        #expect(open(blob.tocJSON) == .badTOC)
        #expect(open(TarWriter.header(good) + blob.tocJSON.dropLast()) == .badTOC)
        #expect(open(TarWriter.archive([good]) + [UInt8](repeating: 0, count: 2 << 20)) == .badTOC)
        #expect(open(TarWriter.archive([.file("stargz.index.json", blob.tocJSON + [0x20, 0x31])])) == .badTOC)
        #expect(open(TarWriter.archive([.file("stargz.index.json", blob.tocJSON + [0x20])])) == .tocDigestMismatch)
    }

    /// Stops at the limit if a member claims or contains a gigabyte, before memory runs out.
    @Test func bombs() {
        let blob = EstargzBlob.make(Self.entries, Self.options)
        var limits = LayerFormatLimits()
        limits.uncompressedTOC = 1 << 20
        let spaces = EstargzBlob.make([]).replacingTOC([UInt8](repeating: 0x20, count: 4 << 20))
        #expect(failure { try spaces.open(limits: limits) } == .limit)
        // As long as an entry has no end, the scanner keeps the text of one entry at most.
        limits.uncompressedTOC = 512 << 20
        limits.entryText = 300_000
        #expect(failure { try spaces.open(limits: limits) } == .limit)
        let long = EstargzBlob.make([]).replacingTOC(
            Array(#"{"version":1,"entries":[{"name":""#.utf8) + [UInt8](repeating: 0x61, count: 4 << 20))
        #expect(failure { try long.open(limits: limits) } == .limit)
        let digits = EstargzBlob.make([]).replacingTOC(
            Array(#"{"version":1,"entries":[{"size":"#.utf8) + [UInt8](repeating: 0x31, count: 4 << 20))
        #expect(failure { try digits.open(limits: limits) } == .limit)
        #expect(failure { try blob.open(limits: limits) } == nil)
    }

    /// Reads an entry that is larger than the scanner's first window.
    @Test func aLargeEntry() throws {
        let long = String(repeating: "long ", count: 100_000)
        let blob = EstargzBlob.make([.file("before", "y"), .file("big", "x"), .file("after", "z")]) {
            $0[1].extra = ["\"comment\": \"\(long)\""]
        }
        let layer = try blob.opened()
        #expect(try layer.contents("big") == Array("x".utf8))
        #expect(try layer.contents("after") == Array("z".utf8))
    }

    /// Reads several windows, with entries of all lengths across their borders.
    @Test func manyEntries() throws {
        let entries = (0..<5000).map { index -> TarEntry in
            .symlink("dir\(index % 50)/" + String(repeating: "n", count: index % 97) + "\(index)", to: "target\(index)")
        }
        let layer = try EstargzBlob.make(entries).opened()
        for entry in entries {
            #expect(try layer.node(String(decoding: entry.path, as: UTF8.self)).link == entry.linkTarget)
        }
    }

    private static func open(_ bytes: [UInt8], _ blob: EstargzBlob) -> LayerFormatError.Code? {
        failure { try index(bytes, blob) }
    }

    private static func index(_ bytes: [UInt8], _ blob: EstargzBlob) throws -> LayerIndexBytes {
        var description = blob.description()
        description.size = UInt64(bytes.count)
        var opener = EstargzFormat().opener(for: description)
        _ = try opener.next()
        let range = ByteRange(offset: 0, end: UInt64(bytes.count))
        try opener.receive(bytes, range: range, blobSize: range.end)
        guard case .done(let index) = try opener.next() else { throw OpenedLayer.Failure(reason: "not done") }
        return index
    }
}
