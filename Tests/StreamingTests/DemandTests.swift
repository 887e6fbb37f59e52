import Base
import Codecs
import ContentStore
import Dispatch
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Planner
import Registry
import Streaming
import TestRegistry
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct EngineDemandTests {
    @Test func sharesOneRequestAmongReaders() async throws {
        try await withBench { bench in
            let fixture = LayerFixture(sizes: [50_000, 50_000], seed: 1)
            let layer = try bench.attach(fixture)
            let gate = bench.registry.hold()
            let outcomes = Guarded<[ChunkOutcome]>([])
            let all = Promise<Void>()
            let engine = bench.engine
            DispatchQueue.concurrentPerform(iterations: 64) { _ in
                _ = engine.demand(layer, chunks: 1..<2) { outcome in
                    let count = outcomes.withLock { outcomes -> Int in
                        outcomes.append(outcome)
                        return outcomes.count
                    }
                    if count == 64 { all.fulfil(()) }
                }
            }
            await gate.waitUntilHeld(1)
            gate.open()
            await all.value
            #expect(outcomes.withLock { $0 } == Array(repeating: .available, count: 64))
            #expect(bench.registry.requests(.blob).count == 1)
            #expect(try layer.bytes(ofChunk: 1) == fixture.files[1].bytes)
            #expect(engine.snapshot().planner.joined == 63)
        }
    }

    @Test func publishesBytesFromATableOfContents() async throws {
        try await withBench { bench in
            let fixture = LayerFixture(sizes: [30_000, 30_000, 30_000, 30_000], seed: 3)
            let layer = try bench.attach(fixture)
            func part(from offset: UInt64, damagedAt place: UInt64? = nil) -> ([UInt8], ByteRange) {
                var bytes = fixture.blob
                if let place { bytes[Int(place)] ^= 1 }
                return (Array(bytes[Int(offset)...]), ByteRange(offset: offset, end: UInt64(bytes.count)))
            }
            let (bytes, range) = part(from: layer.chunks.extent(2).blob.offset - 100)
            bench.engine.publish(bytes, at: range, of: layer)
            #expect(
                (0..<4).map(layer.isPresent) == [false, false, true, true], "not the extent that lacks a part")
            #expect(await bench.engine.fetch(layer, 2..<4) == .available)
            #expect(bench.registry.requests(.blob).isEmpty)

            let (damaged, whole) = part(from: 0, damagedAt: layer.chunks.extent(0).blob.offset + 500)
            bench.engine.publish(damaged, at: whole, of: layer)
            bench.engine.publish([1, 2, 3], at: whole, of: layer)
            #expect(!layer.isPresent(0))
            #expect(await bench.engine.fetch(layer, 0..<2) == .available)
            #expect(try layer.bytes(ofChunk: 0) == fixture.files[0].bytes)
            #expect(layer.isComplete)
        }
    }

    @Test func completesReadersBeforeTheRequestEnds() async throws {
        try await withBench { bench in
            let fixture = LayerFixture(sizes: [30_000, 30_000, 30_000], seed: 2)
            let layer = try bench.attach(fixture)
            let second = layer.chunks.extent(1).blob
            bench.registry.inject(.stallBody(after: Int(second.end - layer.chunks.extent(0).blob.offset)))
            let all = Promise<ChunkOutcome>()
            let demand = bench.engine.demand(layer, chunks: 0..<3) { all.fulfil($0) }
            #expect(await bench.engine.fetch(layer, 0..<2) == .available, "although the third never comes")
            #expect(!all.isFulfilled)
            bench.engine.cancel(demand)
            #expect(await all.value == .cancelled)
            #expect(bench.registry.requests(.blob).count == 1)
        }
    }

    @Test func hedgesAHangingRequest() async throws {
        try await withBench { bench in
            let fixture = LayerFixture(sizes: Array(repeating: 3_000, count: 60), seed: 30)
            let layer = try bench.attach(fixture)
            // The engine learns how long an answer takes. After forty requests, it may send two a second time.
            for chunk in 0..<40 { #expect(await bench.engine.fetch(layer, chunk..<chunk + 1) == .available) }
            let before = bench.registry.requests(.blob).count
            bench.registry.inject(.stallHead)
            let began = MonotonicTime.now()
            #expect(await bench.engine.fetch(layer, 50..<51) == .available)
            #expect(MonotonicTime.now().since(began) < 5_000_000_000, "nobody waited until it had timed out")
            #expect(try layer.bytes(ofChunk: 50) == fixture.files[50].bytes)
            #expect(bench.registry.requests(.blob).count == before + 2)
            #expect(bench.engine.snapshot().hedged == 1)
        }
    }

    @Test func resumesABrokenBody() async throws {
        try await withBench { bench in
            let fixture = LayerFixture(sizes: [30_000, 30_000, 30_000], seed: 3)
            let layer = try bench.attach(fixture)
            let first = layer.chunks.extent(0).blob
            bench.registry.inject(.breakBody(after: Int(first.count) + 300))
            #expect(await bench.engine.fetch(layer, 0..<3) == .available)
            let ranges = bench.ranges(fixture.digest)
            #expect(ranges.count == 2)
            #expect(ranges.last?.offset == first.end + 300)
            for chunk in 0..<3 { #expect(try layer.bytes(ofChunk: chunk) == fixture.files[chunk].bytes) }
        }
    }

    @Test func refetchesWrongBytesOnce() async throws {
        try await withBench { bench in
            let fixture = LayerFixture(sizes: [30_000], seed: 4)
            let layer = try bench.attach(fixture)
            bench.registry.inject(.corrupt)
            #expect(await bench.engine.fetch(layer, 0..<1) == .available)
            #expect(try layer.bytes(ofChunk: 0) == fixture.files[0].bytes)
            #expect(bench.registry.requests(.blob).count == 2)
            let snapshot = bench.engine.snapshot()
            #expect(snapshot.digestFailures + snapshot.decodeFailures == 1)
        }
    }

    @Test func failsWhenBytesStayWrong() async throws {
        var behaviour = Behaviour()
        behaviour.corruptsBlobs = true
        try await withBench(registry: behaviour) { bench in
            for codec in [LayerFixture.File(bytes: Samples.text(bytes: 9000, seed: 5), chunkSize: 9000)] {
                let fixture = LayerFixture([codec], codec: .raw)
                let layer = try bench.attach(fixture)
                let reason = await bench.engine.fetch(layer, 0..<1).failure
                #expect(reason?.contains("digest") == true)
                #expect(layer.presentCount == 0)
                // Two requests for the extent, and one for the whole blob.
                #expect(bench.registry.requests(.blob).count == 3)
            }
            bench.registry.behaviour.corruptsBlobs = false
        }
    }

    @Test func retriesWithALaterRead() async throws {
        try await withBench { bench in
            let fixture = LayerFixture(sizes: [30_000], seed: 6)
            let layer = try bench.attach(fixture)
            bench.registry.removeBlob(fixture.digest)
            #expect(await bench.engine.fetch(layer, 0..<1).failure != nil)
            bench.registry.addBlob(fixture.blob)
            #expect(await bench.engine.fetch(layer, 0..<1) == .available)
        }
    }

    @Test func triesTheNextLocation() async throws {
        for status in [401, 403, 404] {
            try await TestRegistry.withRegistry { other in
                try await withBench { bench in
                    let fixture = LayerFixture(sizes: [3000, 3000], seed: 7)
                    other.inject(.status(status), times: 100)
                    let layer = try bench.attach(fixture, at: [other.location(fixture.digest)])
                    bench.engine.attach(layer, locations: [bench.registry.location(fixture.digest)])
                    #expect(await bench.engine.fetch(layer, 0..<1) == .available, "\(status)")
                    let asked = other.requests(.blob).count
                    #expect(asked > 0)
                    #expect(await bench.engine.fetch(layer, 1..<2) == .available)
                    #expect(other.requests(.blob).count == asked, "the place that worked is asked first")
                }
            }
        }
    }

    @Test func storesBytesOfACancelledDemand() async throws {
        try await withBench { bench in
            let fixture = LayerFixture(sizes: [30_000], seed: 8)
            let layer = try bench.attach(fixture)
            let gate = bench.registry.hold()
            let outcome = Promise<ChunkOutcome>()
            let demand = bench.engine.demand(layer, chunks: 0..<1) { outcome.fulfil($0) }
            await gate.waitUntilHeld(1)
            bench.engine.cancel(demand)
            #expect(await outcome.value == .cancelled)
            bench.engine.cancel(demand)
            gate.open()
            #expect(await bench.engine.fetch(layer, 0..<1) == .available)
            #expect(bench.registry.requests(.blob).count == 1)
        }
    }

    @Test func failsWithoutALocation() async throws {
        try await withBench { bench in
            let fixture = LayerFixture(sizes: [3000], seed: 9)
            let layer = try bench.store.install(fixture.key, index: fixture.index())
            #expect(await bench.engine.fetch(layer, 0..<1).failure?.contains("no known location") == true)
            bench.engine.attach(layer, locations: [])
            #expect(await bench.engine.fetch(layer, 0..<1).failure != nil)
            bench.registry.addBlob(fixture.blob)
            bench.engine.attach(layer, locations: [bench.registry.location(fixture.digest)])
            #expect(await bench.engine.fetch(layer, 0..<1) == .available)
            bench.engine.detach(layer)
            layer.drop(0)
            #expect(await bench.engine.fetch(layer, 0..<1).failure != nil)
        }
    }

    @Test func failsAtTheDeadline() async throws {
        var configuration = StreamingConfiguration.plain
        configuration.planner.demandTimeout = .milliseconds(50)
        try await withBench(configuration) { bench in
            let fixture = LayerFixture(sizes: [3000], seed: 10)
            let layer = try bench.attach(fixture)
            bench.registry.inject(.stallHead)
            #expect(await bench.engine.fetch(layer, 0..<1).failure?.contains("nothing arrived") == true)
        }
    }

    @Test func failsWaitingReadersAtShutdown() async throws {
        try await withBench { bench in
            let fixture = LayerFixture(sizes: [3000, 3000], seed: 11)
            let layer = try bench.attach(fixture)
            bench.registry.inject(.stallHead, times: 2)
            let outcomes = [Promise<ChunkOutcome>(), Promise<ChunkOutcome>()]
            for (chunk, outcome) in outcomes.enumerated() {
                _ = bench.engine.demand(layer, chunks: chunk..<chunk + 1) { outcome.fulfil($0) }
            }
            let begin = MonotonicTime.now()
            await bench.engine.shutdown()
            for outcome in outcomes { #expect(await outcome.value.failure?.contains("shuts down") == true) }
            #expect(MonotonicTime.now().since(begin) < 5_000_000_000)
            #expect(await bench.engine.fetch(layer, 0..<1).failure != nil, "and those who come later")
            await bench.engine.shutdown()
        }
    }
}
