import Base
import ContentStore
import LayerIndex
import LazyFixtures
import Streaming
import TestRegistry
import TestSupport
import Testing

/// Reads through a store that may write almost nothing, because its quota is used up.
@Suite("full store", .timeLimit(.minutes(1))) struct FullStoreTests {
    /// Options of a store with room for indexes, and for no chunk of 128 KiB.
    private static var options: ContentStore.Options {
        var options = ContentStore.Options()
        var limits = SpaceLimits()
        (limits.fillPercent, limits.evictPercent, limits.fullPercent) = (100, 100, 100)
        limits.quota = (1 << 20) + (140 << 10)
        options.limits = limits
        return options
    }

    private static func read(_ layer: StoredLayer, _ chunks: Range<Int>) throws -> [UInt8]? {
        let start = layer.chunks.chunk(chunks.lowerBound).content.offset
        let end = layer.chunks.chunk(chunks.upperBound - 1).content.end
        var bytes = [UInt8](repeating: 0xAA, count: Int(end - start))
        return try bytes.withUnsafeMutableBytes { try layer.read(chunks, at: start, into: $0) } == nil ? bytes : nil
    }

    @Test("serves readers from memory, with one request for the reads of a chunk") func servesReaders() async throws {
        try await withBench(store: Self.options) { bench in
            _ = bench.store.keepSpace()
            let bytes = Samples.noise(bytes: 1 << 20, seed: 7)
            let layer = try bench.attach(LayerFixture([.init(bytes: bytes, chunkSize: 128 << 10)]))
            for chunk in 0..<7 {
                #expect(await bench.engine.fetch(layer, chunk..<chunk + 1) == .available)
                #expect(try Self.read(layer, chunk..<chunk + 1) == Array(bytes[chunk << 17..<(chunk + 1) << 17]))
            }
            let requests = bench.registry.requests(.blob).count
            // Part of this read is in memory, the rest is fetched.
            #expect(try Self.read(layer, 5..<8) == nil)
            #expect(await bench.engine.fetch(layer, 5..<8) == .available)
            #expect(try Self.read(layer, 5..<8) == Array(bytes[5 << 17..<8 << 17]))
            #expect(bench.registry.requests(.blob).count == requests + 1)
            #expect(await bench.engine.fetch(layer, 0..<8) == .available)
            #expect(bench.registry.requests(.blob).count == requests + 1)
            #expect(layer.presentCount == 0)
        }
    }

    @Test("serves all chunks of an extent that holds several files") func servesPackedExtents() async throws {
        try await withBench(store: Self.options) { bench in
            _ = bench.store.keepSpace()
            let bytes = Samples.noise(bytes: 512 << 10, seed: 8)
            let layer = try bench.attach(LayerFixture([.init(bytes: bytes, chunkSize: 128 << 10, isPacked: true)]))
            #expect(await bench.engine.fetch(layer, 3..<4) == .available)
            #expect(try Self.read(layer, 0..<4) == bytes)
        }
    }

    @Test("stores the chunks for which there is room") func storesSome() async throws {
        try await withBench(store: Self.options) { bench in
            _ = bench.store.keepSpace()
            let bytes = Samples.noise(bytes: 256 << 10, seed: 9)
            let layer = try bench.attach(
                LayerFixture([.init(bytes: bytes, ends: [128 << 10, 160 << 10, 256 << 10])]))
            #expect(await bench.engine.fetch(layer, 0..<3) == .available)
            #expect(!layer.isPresent(0))
            #expect(layer.isPresent(1))
            #expect(try Self.read(layer, 0..<3) == bytes)
        }
    }
}
