import Base
import LayerFormats
import LayerIndex
import TestSupport
import Testing

@Suite("order of a converted eStargz layer") struct EstargzPlanTests {
    @Test("follows a chain of hard links as long as the archive") func followsLongChain() throws {
        let count = 50_000
        let links = (0..<count).map { TarEntry.hardlink("l\($0)", to: "l\($0 + 1)") }
        let archive = TarWriter.archive(links + [.file("l\(count)", "text")])
        let listing = ArchiveListing(blobDigest: Digest.of(archive))
        try archive.withUnsafeBytes { try listing.push($0) { _ in } }
        let entries = try listing.finish { _ in }.entries
        let plan = try EstargzPlan(entries, first: [Array("l0".utf8)], chunkSize: 4 << 20, endsArchive: false)
        // The file comes before all links to it, and is marked for prefetch with them.
        let first = try #require(plan.members.first { $0.chunkLength == 4 })
        #expect(first.parts.count >= 1)
        #expect(plan.found == [Array("l0".utf8)])
        guard case .archive(let range)? = plan.members.first?.parts.first else {
            Issue.record("the first member is not from the archive")
            return
        }
        #expect(range.offset == UInt64(count) * 512, "the file's header is the first")
    }
}
