import Base
import Codecs
import ContentStore
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Planner
import Streaming
import TestRegistry
import TestSupport
import Testing

/// Tests of every read in every state of the store. Each read must return the right bytes, fetch no present chunks, and
/// store everything.
@Suite(.timeLimit(.minutes(2))) struct ReadMatrixTests {
    enum Store: CaseIterable {
        case clean, edges, sparse

        func isFilled(_ chunk: Int, of count: Int) -> Bool {
            switch self {
            case .clean: false
            case .edges: chunk == 0 || chunk == count - 1
            case .sparse: chunk % 2 == 1
            }
        }
    }

    private static let chunkSize = 3000

    @Test(arguments: [Codec.raw, .gzip, .zstd], Store.allCases)
    func reads(_ codec: Codec, _ store: Store) async throws {
        try await withBench { bench in
            var seed: UInt64 = 0
            for fileChunks in [1, 2, 5] {
                for size in [1, Self.chunkSize / 2, Self.chunkSize + 1, 3 * Self.chunkSize] {
                    for inner in [0, Self.chunkSize / 3] {
                        for base in Set([0, 1, fileChunks - 1]) where base < fileChunks {
                            seed += 1
                            try await read(bench, codec, store, fileChunks, base * Self.chunkSize + inner, size, seed)
                        }
                    }
                }
            }
        }
    }

    private func read(
        _ bench: Bench, _ codec: Codec, _ store: Store, _ fileChunks: Int, _ offset: Int, _ size: Int, _ seed: UInt64
    ) async throws {
        let bytes = Samples.text(bytes: fileChunks * Self.chunkSize - 123, seed: seed)
        let other = LayerFixture.File(bytes: Samples.noise(bytes: 500, seed: seed), chunkSize: 500)
        let fixture = LayerFixture(
            [other, LayerFixture.File(bytes: bytes, chunkSize: Self.chunkSize), other], codec: codec)
        let layer = try bench.attach(fixture)
        let file = fixture.chunks[1]
        for (number, chunk) in file.enumerated() where store.isFilled(number, of: fileChunks) {
            #expect(await bench.engine.fetch(layer, chunk..<chunk + 1) == .available)
        }
        bench.registry.clearRequests()
        let content = layer.chunks.chunk(file.lowerBound).content.offset
        let end = min(offset + size, bytes.count)
        let chunks = layer.chunks.chunks(
            overlapping: ByteRange(offset: content + UInt64(offset), end: content + UInt64(end)))
        let missing = chunks.filter { !layer.isPresent($0) }
        #expect(await bench.engine.fetch(layer, chunks) == .available)
        var got = [UInt8](repeating: 0, count: end - offset)
        let count = try got.withUnsafeMutableBytes { try layer.read(at: content + UInt64(offset), into: $0) }
        #expect(count == got.count)
        #expect(got == Array(bytes[offset..<end]))
        let asked = bench.ranges(fixture.digest)
        for chunk in 0..<layer.chunks.chunkCount {
            let range = layer.chunks.extent(layer.chunks.chunk(chunk).extent).blob
            let isAsked = asked.contains { $0.overlaps(range) }
            #expect(isAsked == missing.contains(chunk), "chunk \(chunk), \(missing) were missing")
        }
        // One request for each run of adjacent missing chunks.
        let runs = missing.indices.count { $0 == 0 || missing[$0 - 1] + 1 != missing[$0] }
        #expect(asked.count == runs)
        bench.registry.clearRequests()
        #expect(await bench.engine.fetch(layer, chunks) == .available)
        #expect(bench.ranges(fixture.digest).isEmpty, "everything read is kept")
    }

    @Test(arguments: [Codec.gzip, .zstd])
    func chunksInOneExtent(_ codec: Codec) async throws {
        try await withBench { bench in
            let bytes = Samples.text(bytes: 70_000, seed: 3)
            let fixture = LayerFixture([.init(bytes: bytes, chunkSize: 10_000, isPacked: true)], codec: codec)
            let layer = try bench.attach(fixture)
            #expect(await bench.engine.fetch(layer, 4..<5) == .available)
            #expect(bench.ranges(fixture.digest).count == 1)
            #expect(layer.isComplete, "what was decoded on the way is kept")
            #expect(try layer.bytes(ofChunk: 6) == Array(bytes[60_000...]))
            // If one chunk is lost, the engine fetches its extent again, but writes only that chunk.
            layer.drop(2)
            let before = bench.engine.snapshot().decodedBytes
            #expect(await bench.engine.fetch(layer, 2..<3) == .available)
            #expect(bench.engine.snapshot().decodedBytes - before == 10_000)
            #expect(try layer.bytes(ofChunk: 2) == Array(bytes[20_000..<30_000]))
        }
    }

    @Test func fetchesNoZeros() async throws {
        try await withBench { bench in
            var bytes = Samples.text(bytes: 40_000, seed: 5)
            bytes.replaceSubrange(10_000..<30_000, with: repeatElement(0, count: 20_000))
            let fixture = LayerFixture([.init(bytes: bytes, chunkSize: 10_000, zeroChunks: [1, 2])])
            let layer = try bench.attach(fixture)
            #expect(await bench.engine.fetch(layer, 1..<3) == .available)
            #expect(bench.registry.requests.isEmpty)
            #expect(await bench.engine.fetch(layer, 0..<4) == .available)
            for chunk in 0..<4 {
                #expect(try layer.bytes(ofChunk: chunk) == Array(bytes[chunk * 10_000..<(chunk + 1) * 10_000]))
            }
        }
    }
}
