import Base
import Codecs
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

@Suite(.timeLimit(.minutes(1))) struct EngineBackgroundTests {
    private static var configuration: StreamingConfiguration {
        var configuration = StreamingConfiguration.plain
        configuration.planner.mergeGap = 32 << 10
        return configuration
    }

    @Test func fetchesLandmarksBeforeTheRest() async throws {
        let completed = Promise<Digest>()
        try await withBench(Self.configuration) { bench in
            bench.engine.onLayerCompleted { completed.fulfil($0.digest) }
            let fixture = LayerFixture(sizes: Array(repeating: 20_000, count: 10), seed: 20, prefetchFiles: 3)
            let layer = try bench.attach(fixture)
            bench.engine.prefetch(StartHint(landmarksOf: [layer]))
            #expect(await bench.engine.fetch(layer, 2..<3) == .available)
            bench.engine.fill([layer])
            #expect(await completed.value == fixture.digest)
            let ranges = bench.ranges(fixture.digest)
            #expect(
                ranges == [
                    ByteRange(offset: layer.chunks.extent(0).blob.offset, end: layer.chunks.extent(2).blob.end),
                    ByteRange(offset: layer.chunks.extent(3).blob.offset, end: layer.chunks.extent(9).blob.end),
                ])
            for chunk in 0..<10 { #expect(try layer.bytes(ofChunk: chunk) == fixture.files[chunk].bytes) }
            #expect(bench.engine.snapshot().planner.demands == 1)
            #expect(bench.engine.snapshot().received.fill > 0)
        }
    }

    @Test func fillsLargeLayersThroughASmallDecodeQueue() async throws {
        let completed = Promise<Digest>()
        var configuration = Self.configuration
        configuration.decodeQueueBytes = 1000
        configuration.planner.runLimit.fill = 200_000
        try await withBench(configuration) { bench in
            bench.engine.onLayerCompleted { completed.fulfil($0.digest) }
            let bytes = Samples.noise(bytes: 3_000_000, seed: 21)
            let fixture = LayerFixture([.init(bytes: bytes, chunkSize: 64_000)])
            let layer = try bench.attach(fixture)
            bench.engine.fill([layer])
            #expect(await completed.value == fixture.digest)
            let stored = try fixture.chunks[0].flatMap { try layer.bytes(ofChunk: $0) }
            #expect(stored == bytes)
            #expect(bench.registry.requests(.blob).count > 10)
            let snapshot = bench.engine.snapshot()
            #expect(snapshot.received.fill >= 3_000_000)
            #expect(snapshot.decodedBytes == 3_000_000)
        }
    }

    @Test func throttlesFillButNotReaders() async throws {
        let completed = Promise<Digest>()
        try await withBench(Self.configuration) { bench in
            bench.engine.onLayerCompleted { completed.fulfil($0.digest) }
            let fixture = LayerFixture(sizes: [20_000, 20_000], seed: 22)
            let layer = try bench.attach(fixture)
            bench.registry.inject(.status(429, headers: ["Retry-After": "1000"]))
            let gate = bench.registry.hold()
            bench.engine.fill([layer])
            await gate.waitUntilHeld(1)
            gate.open()
            // The reader may come before or after the refusal; the engine serves it in both cases.
            #expect(await bench.engine.fetch(layer, 1..<2) == .available)
            #expect(try layer.bytes(ofChunk: 1) == fixture.files[1].bytes)
            #expect(await bench.engine.fetch(layer, 0..<1) == .available)
            #expect(bench.ranges(fixture.digest).count <= 3)
        }
    }

    @Test func pausesFillWhileAReaderWaits() async throws {
        let completed = Promise<Digest>()
        try await withBench(Self.configuration) { bench in
            bench.engine.onLayerCompleted { completed.fulfil($0.digest) }
            let fixture = LayerFixture([.init(bytes: Samples.noise(bytes: 2_000_000, seed: 23), chunkSize: 20_000)])
            let layer = try bench.attach(fixture)
            let stuck = LayerFixture(sizes: [3000], seed: 24)
            let other = try bench.attach(stuck)
            bench.registry.inject(.stallHead, digest: stuck.digest)
            let gate = bench.registry.hold()
            bench.engine.fill([layer])
            let outcome = Promise<ChunkOutcome>()
            let demand = bench.engine.demand(other, chunks: 0..<1) { outcome.fulfil($0) }
            await gate.waitUntilHeld(2)
            gate.open()
            while bench.engine.snapshot().pausedRequests == 0 { await Task.yield() }
            #expect(!layer.isComplete)
            bench.engine.cancel(demand)
            #expect(await outcome.value == .cancelled)
            #expect(await completed.value == fixture.digest)
            #expect(bench.ranges(fixture.digest).count == 1, "it went on where it was")
        }
    }

    @Test func survivesAFlakyRegistryUnderLoad() async throws {
        let seeded = SeededRandom(named: "everythingAtOnceWithAFlakyRegistry")
        let seed = seeded.seed
        var configuration = StreamingConfiguration.plain
        configuration.planner = .init()
        configuration.planner.retryFirst = .milliseconds(1)
        configuration.planner.fillQuiet = .milliseconds(1)
        configuration.planner.fillQuietAfterRead = .milliseconds(1)
        configuration.planner.fillDelay = .zero
        configuration.planner.joinDistance = 100_000
        configuration.planner.demandAttempts = 10
        try await withBench(configuration) { bench in
            var random = seeded
            var layers: [(fixture: LayerFixture, content: StoredLayer)] = []
            for layer in 0..<3 {
                let sizes = (0..<60).map { _ in Int.random(in: 1...80_000, using: &random) }
                let fixture = LayerFixture(sizes: sizes, seed: seed &+ UInt64(layer * 1000), prefetchFiles: 10)
                layers.append((fixture, try bench.attach(fixture)))
            }
            for skipped in 0..<30 {
                let faults: [Fault] = [
                    .corrupt, .breakBody(after: Int.random(in: 0...50_000, using: &random)), .close, .status(500),
                    .status(503, headers: ["Retry-After": "0"]),
                ]
                bench.registry.inject(faults[skipped % faults.count], skipping: Int.random(in: 0...4, using: &random))
            }
            bench.engine.prefetch(StartHint(landmarksOf: layers.map(\.content)))
            bench.engine.fill(layers.map(\.content))
            let engine = bench.engine
            var failures = 0
            try await withThrowingTaskGroup(of: ChunkOutcome.self) { group in
                for _ in 0..<300 {
                    let (fixture, content) = layers[Int.random(in: 0..<3, using: &random)]
                    let first = Int.random(in: 0..<60, using: &random)
                    let last = min(first + Int.random(in: 0...3, using: &random), 59)
                    group.addTask { () throws -> ChunkOutcome in
                        let outcome = await engine.fetch(content, first..<last + 1)
                        if outcome == .available {
                            for chunk in first...last {
                                let bytes = try content.bytes(ofChunk: chunk)
                                #expect(bytes == fixture.files[chunk].bytes)
                            }
                        }
                        return outcome
                    }
                }
                for try await outcome in group where outcome != .available { failures += 1 }
            }
            // Every chunk that failed did so with a reason, and can be fetched now.
            for (fixture, content) in layers {
                for chunk in 0..<60 {
                    var outcome = await engine.fetch(content, chunk..<chunk + 1)
                    for _ in 0..<5 where outcome != .available {
                        outcome = await engine.fetch(content, chunk..<chunk + 1)
                    }
                    #expect(outcome == .available)
                    #expect(try content.bytes(ofChunk: chunk) == fixture.files[chunk].bytes)
                }
            }
            #expect(failures < 300)
        }
    }
}
