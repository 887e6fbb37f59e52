import Base
import LayerFormats
import LayerIndex
import TestSupport
import Testing

@Suite struct EstargzOpenerTests {
    @Test func opensASmallBlobWithOneRequest() throws {
        let blob = EstargzBlob.make([.directory("a/"), .file("a/b", "hello")])
        var requests: [BlobRequest] = []
        let index = try blob.open { requests.append($0) }
        #expect(requests == [.suffix(UInt64(blob.bytes.count))])
        let table = try ChunkTable(bytes: index.chunks)
        #expect(table.chunkCount == 1)
    }
}
