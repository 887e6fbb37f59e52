import Base
import ContentStore
import LayerFormats
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux
import Logging
import Registry
import Streaming
import TestRegistry
import TestSupport
import Testing

/// Tests that need root, because they mount a file system that is too small.
@Suite(.timeLimit(.minutes(1))) struct PrivilegedFullDiskTests {
    /// Runs `body` with a store that can hold about a tenth of the tests' layers.
    private static func withSmallDisk(
        _ body: (TestRegistry, ContentStore, StreamingEngine) async throws -> Void
    ) async throws {
        let logger = Logger.silent
        try await withTemporaryDirectory(in: "/var/tmp") { root in
            try Sys.mount("tmpfs", on: root, type: "tmpfs", options: "size=600k")
            defer { try? Sys.unmount(root, .detach) }
            let client = RegistryClient(RegistryConfiguration(), logger: logger)
            try await TestRegistry.withRegistry { registry in
                var options = ContentStore.Options()
                options.isScratch = true
                let store = try ContentStore(root: root, options: options)
                let engine = try StreamingEngine(registry: client, configuration: .plain, logger: logger)
                try await body(registry, store, engine)
                await engine.shutdown()
            }
            await client.shutdown()
        }
    }

    /// Returns the bytes of a chunk from the disk or from memory; `nil` if they are in neither.
    private static func read(_ layer: StoredLayer, _ chunk: Int) throws -> [UInt8]? {
        let range = layer.chunks.chunk(chunk).content
        var bytes = [UInt8](repeating: 0xAA, count: Int(range.count))
        let missing = try bytes.withUnsafeMutableBytes {
            try layer.read(chunk..<chunk + 1, at: range.offset, into: $0)
        }
        return missing == nil ? bytes : nil
    }

    @Test("serves readers from memory on a full disk") func servesFromMemory() async throws {
        try await Self.withSmallDisk { registry, store, engine in
            let bytes = Samples.noise(bytes: 4 << 20, seed: 30)
            let fixture = LayerFixture([.init(bytes: bytes, chunkSize: 128 << 10)])
            registry.addBlob(fixture.blob)
            let layer = try store.install(fixture.key, index: fixture.index())
            engine.attach(layer, locations: [registry.location(fixture.digest)])
            var stored = 0
            for chunk in 0..<32 {
                #expect(await engine.fetch(layer, chunk..<chunk + 1) == .available)
                #expect(try Self.read(layer, chunk) == Array(bytes[chunk << 17..<(chunk + 1) << 17]))
                if layer.isPresent(chunk) { stored += 1 }
            }
            #expect(stored > 0 && stored < 32)
            #expect(engine.snapshot().storeFailures == UInt64(32 - stored))
        }
    }

    @Test("recovers a layer on a full disk, and serves from memory what does not fit")
    func recoversOnFullDisk() async throws {
        try await Self.withSmallDisk { registry, store, engine in
            let archive = TarWriter.archive(
                (0..<32).map { .file("\($0)", Samples.noise(bytes: 128 << 10, seed: UInt64($0))) })
            let copy = stride(from: 0, to: archive.count, by: 70_000).flatMap {
                Compressed.zstd(Array(archive[$0..<min($0 + 70_000, archive.count)]))
            }
            let indexer = LayerIndexer(
                layer: Digest.of(archive), blobDigest: Digest.of(copy), blobSize: UInt64(copy.count))
            try copy.withUnsafeBytes { try indexer.push($0) }
            // The registry has the layer's own blob, but not the copy.
            let digest = registry.addBlob(archive)
            let key = LayerKey(digest, .index(Digest.of([1]), repository: "r"))
            let layer = try store.install(key, index: try indexer.finish().index)
            engine.attach(layer, locations: [registry.location(digest)])
            let last = layer.chunks.chunkCount - 1
            #expect(await engine.fetch(layer, last..<last + 1) == .available)
            #expect(layer.presentCount > 0 && !layer.isPresent(last))
            for chunk in 0...last where layer.isAvailable(chunk) {
                #expect(try Self.read(layer, chunk).map(Digest.of) == layer.chunks.chunk(chunk).digest)
            }
            #expect(engine.snapshot().recoveriesFailed == 0)
        }
    }
}
