import Base
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

    @Test("accepts a file that a later entry replaces while a hard link keeps it") func acceptsReplacedFile() throws {
        let archive = TarWriter.archive([
            .file("a", Samples.text(bytes: 300_000, seed: 1)), .hardlink("b", to: "a"),
            .file("a", Samples.text(bytes: 500, seed: 2)), .file("c", Samples.text(bytes: 300_000, seed: 3)),
            .symlink("d", to: "e"), .directory("e"), .file("d/f", "below a link"),
        ])
        let finding = try Self.finding(archive)
        #expect(finding.diffID == Digest.of(archive) && finding.difference == nil, "\(finding)")
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
