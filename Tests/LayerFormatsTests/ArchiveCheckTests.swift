import Base
import Codecs
import LayerFormats
import LayerIndex
import TestSupport
import Testing

@Suite("check of an index against its archive") struct ArchiveCheckTests {
    /// Returns the finding for an archive and the index of `indexed`.
    private static func finding(_ archive: [UInt8], indexed: [UInt8]? = nil) throws -> ArchiveCheck.Finding {
        let blob = Compressed.gzip(indexed ?? archive)
        let indexer = LayerIndexer(blobDigest: Digest.of(blob), blobSize: UInt64(blob.count))
        try blob.withUnsafeBytes { try indexer.push($0) }
        let index = try indexer.finish().index
        let check = ArchiveCheck(
            tree: try TreeImage(bytes: index.tree), chunks: try ChunkTable(bytes: index.chunks), isFromTable: false)
        for start in stride(from: 0, to: archive.count, by: 10_000) {
            try archive[start..<min(start + 10_000, archive.count)].withUnsafeBytes { try check.push($0) }
        }
        return try check.finish()
    }

    @Test("a lack of memory is not taken for a damaged archive") func separatesLackOfMemory() {
        #expect(LayerFormatError(codec: CodecError(.outOfMemory, "no memory")).code == .outOfMemory)
        #expect(LayerFormatError(codec: CodecError(.corrupt, "corrupt")).code == .badArchive)
    }

    @Test("accepts a file that a later entry replaces while a hard link keeps it") func acceptsReplacedFile() throws {
        let archive = TarWriter.archive([
            .file("a", Samples.text(bytes: 300_000, seed: 1)), .hardlink("b", to: "a"),
            .file("a", Samples.text(bytes: 500, seed: 2)), .file("c", Samples.text(bytes: 300_000, seed: 3)),
            .symlink("d", to: "e"), .directory("e"), .file("d/f", "below a link"),
        ])
        let finding = try Self.finding(archive)
        #expect(finding.diffID == Digest.of(archive) && finding.difference == nil, "\(finding)")
    }

    @Test("accepts a time that a table of contents has rounded or cut off, and no other", arguments: [-1, 0, 1, 2])
    func acceptsRoundedTimes(seconds: Int64) throws {
        func tree(_ seconds: Int64, _ nanoseconds: UInt32) throws -> TreeImage {
            var builder = LayerIndexBuilder(blobDigest: Digest.of([1]), blobSize: 1)
            var entry = LayerEntry(path: Array("d".utf8), kind: .directory)
            entry.attributes.modifiedSeconds = seconds
            entry.attributes.modifiedNanoseconds = nanoseconds
            try builder.add(entry)
            return try TreeImage(bytes: try builder.finish().tree)
        }
        for (nanoseconds, isRounded) in [(UInt32(500_000_000), true), (499_999_999, false)] {
            for ignoresFractions in [false, true] {
                var comparison = TreeComparison(
                    try tree(1000 + seconds, 0), with: try tree(1000, nanoseconds), ignoresFractions: ignoresFractions)
                let isSame = try comparison.difference { _, _ in true } == nil
                #expect(isSame == (ignoresFractions && (seconds == 0 || seconds == 1 && isRounded)))
            }
        }
    }

    @Test("finds a tree whose extended attributes no reader looks at") func findsHiddenAttributes() throws {
        let archive = TarWriter.archive([.directory("d"), .file("d/.wh..wh..opq", "")])
        let indexer = LayerIndexer(blobDigest: Digest.of(archive), blobSize: UInt64(archive.count))
        try archive.withUnsafeBytes { try indexer.push($0) }
        let right = try indexer.finish().index.tree
        var wrong = right
        // The volume's name says that there are no attributes (EROFS superblock at 1024: name at 64, checksum at 4).
        for place in 0..<16 { wrong[1024 + 64 + place] = 0 }
        wrong.replaceSubrange(1088..<1097, with: Array("rivulet-1".utf8))
        for place in 0..<4 { wrong[1028 + place] = 0 }
        let sum = ~CRC32C.checksum(Array(wrong[1024..<4096]))
        for place in 0..<4 { wrong[1028 + place] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * place)) }
        let tree = try TreeImage(bytes: wrong)
        #expect(!tree.hasExtendedAttributes)
        var comparison = TreeComparison(tree, with: try TreeImage(bytes: right), ignoresFractions: false)
        #expect(try comparison.difference { _, _ in true } != nil)
        #expect(throws: LayerIndexError.self) { try tree.verify() }
    }

    @Test("names the first file that differs")
    func namesDifference() throws {
        let texts = (0..<2).map { Samples.text(bytes: 300_000, seed: UInt64($0)) }
        func archive(_ first: [UInt8], _ second: [UInt8], mode: UInt32 = 0o644, link: String = "b") -> [UInt8] {
            TarWriter.archive([.file("a", first, mode: mode), .file("b", second), .hardlink("c", to: link)])
        }
        let right = archive(texts[0], texts[1])
        let wrong = [
            (archive(texts[1], texts[0]), "/a has other content"),
            (archive(texts[0], texts[1], mode: 0o4755), "/a has the mode 104755, not 100644"),
            (archive(texts[0], texts[1], link: "a"), "/a has 2 links, not 1"),
            (TarWriter.archive([.file("a", texts[0]), .file("b", texts[1])]), "/b has 1 links, not 2"),
            (right, nil),
        ]
        for (indexed, expected) in wrong {
            let found = try Self.finding(right, indexed: indexed).difference
            #expect(found == expected, "\(found ?? "nothing")")
        }
    }
}
