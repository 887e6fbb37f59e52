import Base
import ContentStore
import LayerFormats
import LayerIndex
import LazyFixtures
import Planner
import Registry
import Streaming
import TestRegistry
import TestSupport
import Testing

/// Tests of reads that requests for ranges cannot serve, although the registry has the whole layer.
@Suite("recovery of layers", .timeLimit(.minutes(1))) struct LayerRecoveryTests {
    /// An archive in which a file that is hard to find ends up in the last extents.
    private static let archive = TarWriter.archive(
        [.directory("d"), .file("noise", Samples.noise(bytes: 1_400_000, seed: 1))]
            + (0..<20).map { .file("d/\($0)", Samples.text(bytes: 10_000 + $0 * 7_000, seed: UInt64($0))) }
            + [
                .file("zeros", [UInt8](repeating: 0, count: 300_000)),
                // A hard link keeps the content of a file that a later entry replaces.
                .file("old", Samples.text(bytes: 300_000, seed: 40)), .hardlink("kept", to: "old"),
                .file("old", Samples.text(bytes: 200_000, seed: 41)), .file("d/twin", Samples.text(bytes: 9, seed: 2)),
                .hardlink("d/link", to: "d/twin"), .file("last", Samples.text(bytes: 50_000, seed: 42)),
            ])

    private static func indexed(_ blob: [UInt8], of layer: Digest? = nil) throws -> IndexedLayer {
        let indexer = LayerIndexer(layer: layer, blobDigest: Digest.of(blob), blobSize: UInt64(blob.count))
        try blob.withUnsafeBytes { try indexer.push($0) }
        return try indexer.finish()
    }

    /// Returns the archive as a blob of many zstd frames.
    private static var frames: [UInt8] {
        stride(from: 0, to: archive.count, by: 70_000).flatMap {
            Compressed.zstd(Array(archive[$0..<min($0 + 70_000, archive.count)]))
        }
    }

    /// Attaches the layer with the blob that has this digest.
    private static func attach(
        _ digest: Digest, _ index: IndexedLayer, _ bench: Bench, repositories: [String] = ["test/app"]
    ) throws -> StoredLayer {
        let layer = try bench.store.install(
            LayerKey(digest, .index(Digest.of([1]), repository: "r")), index: index.index)
        let locations = repositories.map {
            BlobLocation(repository: Repository(host: bench.registry.host, name: $0), digest: digest)
        }
        bench.engine.attach(layer, locations: locations)
        return layer
    }

    /// Returns the last chunk that does not consist of zeros.
    private static func last(_ layer: StoredLayer) throws -> Int {
        try #require((0..<layer.chunks.chunkCount).last { !layer.chunks.chunk($0).isZeros })
    }

    private static func expectAll(_ layer: StoredLayer) throws {
        for number in 0..<layer.chunks.chunkCount where !layer.chunks.chunk(number).isZeros {
            #expect(Digest.of(try layer.bytes(ofChunk: number)) == layer.chunks.chunk(number).digest)
        }
    }

    /// Returns the number of requests for the whole blob.
    private static func wholeReads(_ digest: Digest, _ bench: Bench) -> Int {
        bench.registry.requests(.blob).count { $0.path.hasSuffix(digest.description) && $0.range == nil }
    }

    @Test("reads files of a gzip layer whose windows are gone") func readsWithoutWindows() async throws {
        try await withBench { bench in
            let blob = Compressed.gzip(Self.archive)
            let index = try Self.indexed(blob)
            #expect(!index.windows.isEmpty)
            let digest = bench.registry.addBlob(blob)
            let layer = try Self.attach(digest, index, bench)
            let last = try Self.last(layer)
            #expect(await bench.engine.fetch(layer, last..<last + 1) == .available)
            #expect(await eventually { layer.isComplete }, "the rest is kept")
            try Self.expectAll(layer)
            #expect(Self.wholeReads(digest, bench) == 1)
            let snapshot = bench.engine.snapshot()
            #expect(snapshot.planner.recoveries == 1 && snapshot.recoveriesFailed == 0)
            #expect(snapshot.recoveryBytes > 0 && snapshot.recoveryBytes <= UInt64(blob.count))
        }
    }

    @Test("reads files of a layer whose copy is gone", arguments: ["gzip", "zstd", "raw"])
    func readsWithoutCopy(kind: String) async throws {
        try await withBench { bench in
            let blob =
                switch kind {
                case "gzip": Compressed.gzip(Self.archive)
                case "zstd": Compressed.zstd(Self.archive)
                default: Self.archive
                }
            let digest = bench.registry.addBlob(blob)
            let layer = try Self.attach(digest, try Self.indexed(Self.frames, of: digest), bench)
            #expect(layer.chunks.blobDigest != digest)
            // Several readers share one recovery.
            let first = try #require(layer.missing(in: 0..<layer.chunks.chunkCount))
            let last = try Self.last(layer)
            async let early = bench.engine.fetch(layer, first..<first + 1)
            #expect(await bench.engine.fetch(layer, last..<last + 1) == .available)
            #expect(await early == .available)
            #expect(await eventually { layer.isComplete })
            try Self.expectAll(layer)
            #expect(Self.wholeReads(digest, bench) == 1)
        }
    }

    @Test("reads files of a registry that no longer answers ranges", arguments: [200, 400, 416, 501])
    func readsWithoutRanges(status: Int) async throws {
        var behaviour = Behaviour()
        if status == 200 { behaviour.ranges = .ignored }
        try await withBench(registry: behaviour) { bench in
            let digest = bench.registry.addBlob(Self.frames)
            let layer = try Self.attach(digest, try Self.indexed(Self.frames), bench)
            if status != 200 { bench.registry.inject(.status(status), times: status == 501 ? 50 : 1, digest: digest) }
            let last = try Self.last(layer)
            let outcome = await bench.engine.fetch(layer, last..<last + 1)
            if status == 501 {
                // This registry answers nothing.
                #expect(outcome.failure != nil)
            } else {
                #expect(outcome == .available)
                #expect(await eventually { layer.isComplete })
                try Self.expectAll(layer)
            }
        }
    }

    @Test("tries the next location after wrong bytes") func triesNextLocation() async throws {
        try await withBench { bench in
            let blob = Compressed.gzip(Self.archive)
            let digest = bench.registry.addBlob(blob)
            let layer = try Self.attach(
                digest, try Self.indexed(Self.frames, of: digest), bench, repositories: ["test/app", "test/other"])
            bench.registry.inject(.corrupt, digest: digest)
            let last = try Self.last(layer)
            #expect(await bench.engine.fetch(layer, last..<last + 1) == .available)
            try Self.expectAll(layer)
            #expect(Self.wholeReads(digest, bench) == 2)
        }
    }

    @Test("a start hint causes a recovery, and fill causes none") func recoversForHints() async throws {
        try await withBench { bench in
            let digest = bench.registry.addBlob(Compressed.gzip(Self.archive))
            let layer = try Self.attach(digest, try Self.indexed(Self.frames, of: digest), bench)
            bench.engine.fill([layer])
            #expect(await eventually { bench.engine.snapshot().planner.requestsFailed > 0 })
            bench.engine.allowFill(false)
            #expect(await eventually { bench.engine.snapshot().runningRequests == 0 })
            #expect(bench.engine.snapshot().planner.recoveries == 0)
            let last = try Self.last(layer)
            bench.engine.prefetch(
                StartHint(.recordedProfile, runs: [ChunkRun(layer: layer, chunks: last..<last + 1)]))
            #expect(await eventually { layer.isComplete })
        }
    }

    @Test("fails a read after every way has failed, and does not read the blob for the next read")
    func failsAtLast() async throws {
        try await withBench { bench in
            let blob = Compressed.gzip(Self.archive)
            let (digest, index) = (Digest.of(blob), try Self.indexed(Self.frames, of: Digest.of(blob)))
            let layer = try Self.attach(digest, index, bench)
            // A blob with other files.
            bench.registry.addBlob(
                Compressed.gzip(TarWriter.archive([.file("last", Samples.text(bytes: 50_000, seed: 1))])), as: digest)
            let last = try Self.last(layer)
            let outcome = await bench.engine.fetch(layer, last..<last + 1)
            #expect(outcome.failure?.contains("the blob lacks chunks of the layer's index") == true, "\(outcome)")
            #expect(await bench.engine.fetch(layer, last..<last + 1).failure != nil)
            #expect(Self.wholeReads(digest, bench) == 1)
            #expect(bench.engine.snapshot().recoveriesFailed == 1)
        }
    }

    @Test("the end of the engine ends a recovery") func endsWithEngine() async throws {
        let outcome = Promise<ChunkOutcome>()
        try await withBench { bench in
            let digest = bench.registry.addBlob(Compressed.gzip(Self.archive))
            let layer = try Self.attach(digest, try Self.indexed(Self.frames, of: digest), bench)
            bench.registry.inject(.stallBody(after: 700_000), digest: digest)
            let last = try Self.last(layer)
            _ = bench.engine.demand(layer, chunks: last..<last + 1) { outcome.fulfil($0) }
            #expect(await eventually { bench.engine.snapshot().recoveryBytes >= 700_000 })
            #expect(!outcome.isFulfilled)
        }
        #expect(await outcome.value.failure == "the streaming engine shuts down")
    }
}
