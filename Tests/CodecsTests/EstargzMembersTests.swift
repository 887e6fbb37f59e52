import Base
import Codecs
import TestSupport
import Testing

/// The consistency of the other tests' blobs with their TOC, member by member.
@Suite struct EstargzMembersTests {
    static let entries: [TarEntry] = [
        .directory("etc/"), .file("etc/empty", ""), .file("etc/hosts", "127.0.0.1 localhost\n"),
        .symlink("link", to: "etc/hosts"), .file("big", Samples.text(bytes: 10_000, seed: 3)),
        .file("bigger", Samples.noise(bytes: 20_001, seed: 4)), .hardlink("hard", to: "big"),
    ]

    @Test("decodes every chunk from its stream", arguments: [3000, 4096, 1 << 20], [0, 2000])
    func decodesEveryChunkFromItsStream(chunkSize: Int, minimumChunkSize: Int) throws {
        var options = EstargzOptions()
        options.chunkSize = chunkSize
        options.minimumChunkSize = minimumChunkSize
        let blob = EstargzBlob.make(Self.entries, options)
        let decoder = ExtentDecoder()
        var size = 0
        for item in blob.toc where item.chunkDigest != nil {
            if item.type == "reg" { size = Int(item.size ?? 0) }
            let length = Int(item.chunkSize ?? 0) == 0 ? size - Int(item.chunkOffset ?? 0) : Int(item.chunkSize ?? 0)
            let start = Int(item.innerOffset ?? 0)
            let decoded = try decodeAll(
                Array(blob.bytes[Int(item.offset ?? 0)...]), codec: .gzip, decoder: decoder, inputPiece: 1 << 20,
                outputPiece: start + length, limit: start + length
            ).decoded
            #expect(Digest.of(Array(decoded[start..<(start + length)])).description == item.chunkDigest)
        }
        if minimumChunkSize > 0 { #expect(Set(blob.streamOffsets).count < blob.toc.count) }
    }

    /// All members together, footer included, are one valid gzip file with one valid tar stream.
    @Test("the whole blob is one gzip file") func wholeBlobIsOneGzipFile() throws {
        let blob = EstargzBlob.make(Self.entries)
        let all = try decodeAll(blob.bytes, codec: .gzip, inputPiece: 1000, outputPiece: 700)
        #expect(all.decoded == blob.tar)
        #expect(all.finished)
        #expect(all.consumed == blob.bytes.count)
    }
}
