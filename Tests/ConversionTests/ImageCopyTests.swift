import Artifacts
import Base
import Conversion
import Logging
import Registry
import TestRegistry
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ImageCopyTests {
    private static let logger = Logger.silent

    /// Runs a test with two registries.
    private static func withRegistries(
        _ body: (TestRegistry, TestRegistry, RegistryClient) async throws -> Void
    ) async throws {
        try await TestRegistry.withRegistry(Behaviour()) { source in
            try await TestRegistry.withRegistry(Behaviour()) { target in
                let client = RegistryClient(RegistryConfiguration(), logger: logger)
                do {
                    try await body(source, target, client)
                } catch {
                    await client.shutdown()
                    throw error
                }
                await client.shutdown()
            }
        }
    }

    private static func reference(_ registry: TestRegistry, _ path: String) throws -> ImageReference {
        try ImageReference(parsing: "\(registry.host)/\(path)")
    }

    @Test("copies all platforms byte for byte") func copiesAllPlatformsByteForByte() async throws {
        try await Self.withRegistries { source, target, client in
            let shared = TestLayer(Samples.text(bytes: 40_000, seed: 1))
            // Larger than one part of an upload.
            let large = TestLayer(Samples.noise(bytes: (33 << 20) + 7, seed: 2))
            let first = source.addImage(repository: "a/app", tag: "x", layers: [shared, large])
            let second = source.addImage(repository: "a/app", tag: "y", layers: [shared])
            let index = source.addIndex(
                repository: "a/app", tag: "1.2",
                manifests: [(first.manifestDigest, "linux/amd64"), (second.manifestDigest, "linux/arm64")])
            let last = Guarded<ImageCopy.Progress?>(nil)
            let copied = try await ImageCopy(client).copy(
                Self.reference(source, "a/app:1.2"), to: Self.reference(target, "b/copy:9")
            ) { progress in last.withLock { $0 = progress } }
            #expect(copied.digest == index && copied.manifests == 2)
            #expect(target.manifest("b/copy", "9") == source.manifest("a/app", "1.2"))
            for image in [first, second] {
                #expect(
                    target.manifest("b/copy", "\(image.manifestDigest)")
                        == source.manifest("a/app", "\(image.manifestDigest)"))
                #expect((image.layerDigests + [image.configDigest]).allSatisfy { target.hasBlob($0) })
            }
            let total = try #require(last.withLock { $0 })
            #expect(total.bytes == total.totalBytes && total.bytes == copied.bytes)
            // A second copy sends nothing.
            let before = target.requests(.upload).count
            let again = try await ImageCopy(client).copy(
                Self.reference(source, "a/app:1.2"), to: Self.reference(target, "b/copy:9"))
            #expect(again == copied && target.requests(.upload).count == before)
        }
    }

    @Test("mounts blobs within a registry", arguments: [true, false]) func mountsBlobsWithinRegistry(mounts: Bool)
        async throws
    {
        try await TestRegistry.withRegistry(Behaviour()) { registry in
            registry.behaviour.mounts = mounts
            let image = registry.addImage(
                repository: "a/app", tag: "1", layers: [TestLayer(Samples.text(bytes: 40_000, seed: 1))])
            // All repositories of this registry share blobs, so it must pretend otherwise.
            for digest in image.layerDigests + [image.configDigest] { registry.inject(.status(404), digest: digest) }
            let client = RegistryClient(RegistryConfiguration(), logger: Self.logger)
            let copied = try await ImageCopy(client, blobsAtOnce: 1).copy(
                Self.reference(registry, "a/app:1"), to: Self.reference(registry, "b/app:1"))
            await client.shutdown()
            #expect(copied.digest == image.manifestDigest)
            #expect(registry.manifest("b/app", "1") == registry.manifest("a/app", "1"))
            let sent = registry.requests(.upload).reduce(0) { $0 + $1.bytes.count }
            #expect(mounts ? sent == 0 : sent > 0)
        }
    }

    @Test("names a missing part") func namesMissingPart() async throws {
        try await Self.withRegistries { source, target, client in
            let error = await #expect(throws: ArtifactError.self) {
                try await ImageCopy(client).copy(
                    Self.reference(source, "a/app:1"), to: Self.reference(target, "b/app:1"))
            }
            #expect(error?.code == .registry && "\(error.map { "\($0)" } ?? "")".contains("a/app:1"))
            source.addImage(repository: "a/app", tag: "1", layers: [TestLayer([1, 2, 3])])
            source.removeBlob(Digest.of([1, 2, 3]))
            await #expect(throws: ArtifactError.self) {
                try await ImageCopy(client).copy(
                    Self.reference(source, "a/app:1"), to: Self.reference(target, "b/app:1"))
            }
            #expect(target.manifest("b/app", "1") == nil, "a tag comes last")
        }
    }
}
