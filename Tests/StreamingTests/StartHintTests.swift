import ContentStore
import LazyFixtures
import Planner
import Registry
import Streaming
import TestRegistry
import Testing

/// Tests of how the engine treats start hints that meet.
@Suite(.timeLimit(.minutes(1))) struct StartHintTests {
    private static func fixture() -> LayerFixture {
        LayerFixture(sizes: Array(repeating: 100_000, count: 8), seed: 11)
    }

    private static func hint(_ source: HintSource, _ layer: StoredLayer, _ chunk: Int) -> StartHint {
        StartHint(source, runs: [ChunkRun(layer: layer, chunks: chunk..<chunk + 1)])
    }

    @Test(arguments: [
        (HintSource.recordedProfile, HintSource.prediction, false), (.prediction, .recordedProfile, true),
        (.recordedProfile, .landmark, true), (.landmark, .prediction, true), (.prediction, .prediction, true),
    ])
    func fetchesALaterHintUnlessABetterOneCoversTheStart(
        first: HintSource, second: HintSource, isFetched: Bool
    ) async throws {
        let fixture = Self.fixture()
        try await withBench { bench in
            let layer = try bench.attach(fixture)
            bench.engine.prefetch(Self.hint(first, layer, 0))
            bench.engine.prefetch(Self.hint(second, layer, 4))
            let requests = bench.engine.snapshot().planner.requests.hint
            #expect(requests == (isFetched ? 2 : 1))
            #expect(await bench.engine.fetch(layer, 0..<1) == .available)
            if isFetched { #expect(await bench.engine.fetch(layer, 4..<5) == .available) }
            #expect(layer.presentCount == (isFetched ? 2 : 1))
        }
    }

    @Test(arguments: [(HintSource.recordedPack, HintSource.recordedProfile), (.predictedPack, .recordedProfile)])
    func dropsAPackWhenABetterHintCoversTheStart(source: HintSource, better: HintSource) async throws {
        let fixture = Self.fixture()
        try await withBench { bench in
            let layer = try bench.attach(fixture)
            bench.engine.prefetch(Self.hint(better, layer, 0))
            let request = PackRequest(bench.registry.location(layer.digest), size: 1000, from: bench.client)
            bench.engine.prefetch(StartHint(source, pack: request, layers: [layer]))
            #expect(bench.engine.snapshot().runningPacks == 0)
        }
    }

    /// Drops a prediction while a pack arrives, because the pack's tables may name the same chunks.
    @Test(arguments: [(HintSource.prediction, false), (.recordedProfile, true), (.landmark, true)])
    func predictsNothingWhileThePacksContentsAreUnknown(source: HintSource, isFetched: Bool) async throws {
        let fixture = Self.fixture()
        try await withBench { bench in
            let layer = try bench.attach(fixture)
            bench.registry.inject(.stallBody(after: 4))
            let pack = bench.registry.addBlob(Array(repeating: 1, count: 1000))
            let request = PackRequest(bench.registry.location(pack), size: 1000, from: bench.client)
            bench.engine.prefetch(StartHint(.predictedPack, pack: request, layers: [layer]))
            #expect(bench.engine.snapshot().runningPacks == 1)
            bench.engine.prefetch(Self.hint(source, layer, 4))
            #expect(bench.engine.snapshot().planner.requests.hint == (isFetched ? 1 : 0))
        }
    }
}
