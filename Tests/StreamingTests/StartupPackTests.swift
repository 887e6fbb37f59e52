import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Planner
import Registry
import Streaming
import TestRegistry
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct StartupPackTests {
    /// Creates a layer of files with one chunk each. Two of them fill a frame.
    private static func fixture(_ seed: UInt64, files: Int = 8) throws -> LayerFixture {
        LayerFixture(sizes: Array(repeating: 60_000, count: files), seed: seed)
    }

    /// Returns a pack of these chunks of the layer, in this order.
    private static func pack(_ fixture: LayerFixture, _ chunks: [Int]) async throws -> [UInt8] {
        let result = Promise<[UInt8]>()
        try await withBench { bench in
            let layer = try bench.attach(fixture)
            #expect(await bench.engine.fetch(layer, 0..<layer.chunks.chunkCount) == .available)
            let writer = StartupPackWriter(
                chunks.map { ChunkRun(layer: layer, chunks: $0..<$0 + 1) }, frameLength: 100_000)
            result.fulfil(writer.pack(try (0..<writer.frameCount).map { try writer.frame($0) }))
        }
        return await result.value
    }

    private static func replay(_ pack: [UInt8], _ layers: [StoredLayer], on bench: Bench) {
        let location = bench.registry.location(bench.registry.addBlob(pack))
        let request = PackRequest(location, size: UInt64(pack.count), from: bench.client)
        bench.engine.prefetch(StartHint(.recordedPack, pack: request, layers: layers))
    }

    private static func wait(_ what: Comment, until isTrue: () -> Bool) async throws {
        #expect(await eventually { isTrue() }, what)
    }

    @Test func fetchesAPackInOneRequest() async throws {
        let fixture = try Self.fixture(1)
        let order = [5, 1, 0, 7, 2]
        let pack = try await Self.pack(fixture, order)
        try await withBench { bench in
            let layer = try bench.attach(fixture)
            Self.replay(pack, [layer], on: bench)
            try await Self.wait("all of the pack is here") { order.allSatisfy { layer.isPresent($0) } }
            for chunk in order { #expect(try layer.bytes(ofChunk: chunk) == fixture.files[chunk].bytes) }
            #expect(![3, 4, 6].contains { layer.isPresent($0) })
            #expect(bench.registry.requests(.blob).count == 1)
            try await Self.wait("it is over") { bench.engine.snapshot().runningPacks == 0 }
            let figures = bench.engine.snapshot()
            #expect(figures.packs == 1 && figures.packsAbandoned == 0 && figures.packBytes == UInt64(pack.count))
        }
    }

    @Test func parksReadersUntilAPackStalls() async throws {
        let fixture = try Self.fixture(2)
        let pack = try await Self.pack(fixture, Array(0..<8))
        try await withBench { bench in
            let layer = try bench.attach(fixture)
            // The pack's tables and first frames arrive, and then nothing more.
            bench.registry.inject(.stallBody(after: pack.count * 2 / 3))
            Self.replay(pack, [layer], on: bench)
            try await Self.wait("the first frame is here") { layer.isPresent(0) }
            let cancelled = Promise<ChunkOutcome>()
            let demand = bench.engine.demand(layer, chunks: 7..<8) { cancelled.fulfil($0) }
            bench.engine.cancel(demand)
            #expect(await cancelled.value == .cancelled)
            #expect(bench.registry.requests(.blob).count == 1, "it waits for the pack")
            #expect(await bench.engine.fetch(layer, 6..<8) == .available)
            #expect(bench.registry.requests(.blob).count > 1, "it did not wait for ever")
            #expect(try layer.bytes(ofChunk: 7) == fixture.files[7].bytes)
        }
    }

    @Test func failsReadersOfAPackAtShutdown() async throws {
        let fixture = try Self.fixture(3)
        let pack = try await Self.pack(fixture, Array(0..<8))
        try await withBench { bench in
            let layer = try bench.attach(fixture)
            bench.registry.inject(.stallBody(after: pack.count / 2))
            Self.replay(pack, [layer], on: bench)
            try await Self.wait("the first frame is here") { layer.isPresent(0) }
            let outcome = Promise<ChunkOutcome>()
            _ = bench.engine.demand(layer, chunks: 7..<8) { outcome.fulfil($0) }
            await bench.engine.shutdown()
            #expect(await outcome.value.failure != nil)
        }
    }

    @Test func rejectsWrongBytesInAPack() async throws {
        let fixture = try Self.fixture(4)
        let good = try await Self.pack(fixture, Array(0..<8))
        for place in [0.3, 0.6, 0.999] {
            var pack = good
            pack[Int(Double(pack.count) * place)] ^= 0x10
            try await withBench { bench in
                let layer = try bench.attach(fixture)
                Self.replay(pack, [layer], on: bench)
                // The engine fetches from the layer what the pack does not bring, without a demand.
                try await Self.wait("all is here") { layer.isComplete }
                for chunk in 0..<8 { #expect(try layer.bytes(ofChunk: chunk) == fixture.files[chunk].bytes) }
                #expect(bench.engine.snapshot().packsAbandoned == 1, "wrong at \(place)")
            }
        }
    }

    @Test func fetchesTheRestOfAMostlyPresentPackFromItsLayers() async throws {
        let fixture = try Self.fixture(5)
        let pack = try await Self.pack(fixture, Array(0..<8))
        try await withBench { bench in
            let layer = try bench.attach(fixture)
            #expect(await bench.engine.fetch(layer, 0..<6) == .available)
            Self.replay(pack, [layer], on: bench)
            try await Self.wait("all is here") { layer.isComplete }
            let figures = bench.engine.snapshot()
            #expect(figures.packs == 0 && figures.packBytes < UInt64(pack.count) / 2)
        }
    }

    @Test func ignoresAPackOfOtherLayers() async throws {
        let (fixture, other) = (try Self.fixture(6), try Self.fixture(7, files: 2))
        let pack = try await Self.pack(fixture, Array(0..<8))
        try await withBench { bench in
            let layer = try bench.attach(other)
            Self.replay(pack, [layer], on: bench)
            try await Self.wait("it is over") { bench.engine.snapshot().runningPacks == 0 }
            #expect(layer.presentCount == 0)
            #expect(await bench.engine.fetch(layer, 0..<2) == .available)
        }
    }

    @Test func survivesAMissingPack() async throws {
        let fixture = try Self.fixture(8, files: 2)
        try await withBench { bench in
            let layer = try bench.attach(fixture)
            let request = PackRequest(bench.registry.location(Digest.of([1])), size: 1000, from: bench.client)
            bench.engine.prefetch(StartHint(.recordedPack, pack: request, layers: [layer]))
            #expect(await bench.engine.fetch(layer, 0..<2) == .available)
            try await Self.wait("it is over") { bench.engine.snapshot().runningPacks == 0 }
        }
    }

    @Test func rejectsInconsistentTables() async throws {
        let fixture = try Self.fixture(9, files: 4)
        let pack = try await Self.pack(fixture, [0, 2, 1])
        let size = UInt64(pack.count)
        let head = Array(pack.prefix(StartupPack.headSize))
        let end = try StartupPack.tableEnd(head)
        let tables = Array(pack.prefix(end))
        let read = try StartupPack(tables: tables, size: size)
        #expect(read.layers == [fixture.digest] && read.pieces.map(\.chunk) == [0, 2, 1])
        #expect(read.frames.last?.range.end == size)
        for length in 0..<StartupPack.headSize {
            #expect(throws: StreamingError.self) { try StartupPack.tableEnd(Array(head.prefix(length))) }
        }
        #expect(throws: StreamingError.self) { try StartupPack(tables: tables, size: size - 1) }
        #expect(throws: StreamingError.self) { try StartupPack(tables: tables.dropLast(), size: size) }
        // After a flip of any single bit, the tables are refused or stay within their bounds.
        for bit in 0..<tables.count * 8 {
            var damaged = tables
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            guard let other = try? StartupPack(tables: damaged, size: size) else { continue }
            #expect(other.frames.allSatisfy { $0.range.end <= size && $0.pieces.upperBound <= other.pieces.count })
            #expect(other.pieces.allSatisfy { $0.layer < other.layers.count })
        }
    }
}
