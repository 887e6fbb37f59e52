import Base
import Registry
import TestRegistry
import Testing

struct BlobTests {
    @Test(
        "returns the selected bytes",
        arguments: [
            (BlobSelection.suffix(100), 900..<1000), (.suffix(1000), 0..<1000), (.suffix(5000), 0..<1000),
            (.whole, 0..<1000),
            (.range(ByteRange(offset: 0, end: 1)), 0..<1), (.range(ByteRange(offset: 300, end: 700)), 300..<700),
            (.range(ByteRange(offset: 999, end: 2000)), 999..<1000),
        ])
    func returnsSelectedBytes(_ selection: BlobSelection, _ expected: Range<Int>) async throws {
        let bytes = pattern(1000)
        try await TestRegistry.withRegistry { registry in
            let digest = registry.addBlob(bytes)
            try await withClient { client in
                let stream = try await client.open(registry.location(digest), selection, priority: .demand)
                #expect(stream.blobSize == 1000)
                #expect(
                    stream.range == ByteRange(offset: UInt64(expected.lowerBound), end: UInt64(expected.upperBound)))
                #expect(try await stream.collect(maximumSize: 1000) == Array(bytes[expected]))
                #expect(client.requestCount == 1)
                #expect(client.bytesReceived == UInt64(expected.count))
            }
        }
    }
}
