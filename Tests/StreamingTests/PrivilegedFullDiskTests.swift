import Base
import ContentStore
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
    @Test("serves readers from memory on a full disk") func servesFromMemory() async throws {
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
                let bytes = Samples.noise(bytes: 4 << 20, seed: 30)
                let fixture = LayerFixture([.init(bytes: bytes, chunkSize: 128 << 10)])
                registry.addBlob(fixture.blob)
                let layer = try store.install(fixture.key, index: fixture.index())
                engine.attach(layer, locations: [registry.location(fixture.digest)])
                var stored = 0
                for chunk in 0..<32 {
                    #expect(await engine.fetch(layer, chunk..<chunk + 1) == .available)
                    var read = [UInt8](repeating: 0, count: 128 << 10)
                    let missing = try read.withUnsafeMutableBytes {
                        try layer.read(chunk..<chunk + 1, at: UInt64(chunk) << 17, into: $0)
                    }
                    #expect(missing == nil)
                    #expect(read == Array(bytes[chunk << 17..<(chunk + 1) << 17]))
                    if layer.isPresent(chunk) { stored += 1 }
                }
                #expect(stored > 0)
                #expect(stored < 32)
                #expect(engine.snapshot().storeFailures == UInt64(32 - stored))
                await engine.shutdown()
            }
            await client.shutdown()
        }
    }
}
