import Base
import ContentStore
import Images
import LazyFileSystem
import Linux
import NodeDatabase
import Registry
import TestRegistry
import TestSupport
import Testing

@Suite("streamed images", .timeLimit(.minutes(1))) struct StreamedImagesTests {
    @Test("opens an image once for all its layers and mounts its chain")
    func opensOnce() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a", "b"])
            async let bottom = fixture.prepare(image, 0)
            async let top = fixture.prepare(image, 1)
            #expect(await bottom.isReady)
            #expect(await top.isReady)
            #expect(fixture.manifestRequests(image) == 1)
            let chain = try #require(await fixture.prepareAll(image))
            #expect(try await fixture.images.mountedDirectory(ofChain: chain) == "/mount/\(chain.id.hex)")
            #expect(fixture.fileSystem.hasChain(chain.id))
            #expect(await fixture.images.isUsable(chain))
        }
    }

    @Test("tells the size and the inodes of the complete layer") func tellsUsage() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a"])
            guard case .ready(_, let size, let inodes) = await fixture.prepare(image, 0) else {
                Issue.record("the layer is declined")
                return
            }
            #expect(size >= 5001)
            #expect(inodes >= 3)
        }
    }

    @Test("resolves the tag of an image whose manifest the client does not name")
    func resolvesTag() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a", "b"])
            #expect(await fixture.prepare(image, 0, namesManifest: false).isReady)
            #expect(await fixture.prepare(image, 1, namesManifest: false).isReady)
        }
    }

    @Test("goes by the labels of one layer when the tag has moved") func survivesMovedTag() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["old"])
            _ = fixture.publish(["new"])
            let labels = ImagesFixture.blob("old").annotations
            #expect(await fixture.prepare(image, 0, namesManifest: false, labels: labels).isReady)
            let outcome = await fixture.prepare(image, 0, chain: "x", namesManifest: false, labels: labels)
            #expect(outcome.isReady, "from the store")
        }
    }

    @Test("shares the layers of two images") func sharesLayers() async throws {
        var options = ImageOptions()
        // Verification reads the bytes outside all chunks.
        options.verifiesLayers = false
        try await ImagesFixture.with(options) { (fixture) async throws in
            let first = fixture.publish(["shared", "one"], tag: "one")
            let second = fixture.publish(["shared", "two"], tag: "two")
            #expect(await fixture.prepare(first, 0).isReady)
            let before = fixture.requests(first.layerDigests[0])
            #expect(await fixture.prepare(second, 0).isReady)
            #expect(await fixture.prepare(second, 1).isReady)
            #expect(fixture.requests(first.layerDigests[0]) == before)
        }
    }

    @Test("opens a blob once that an image contains twice") func opensRepeatedBlobOnce() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a", "b", "a"])
            #expect(await fixture.prepare(image, 2).isReady)
            #expect(fixture.requests(image.layerDigests[0]) == 1)
        }
    }

    // MARK: - Memory

    @Test("answers from memory for two minutes") func answersFromMemory() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a", "b"])
            #expect(await fixture.prepare(image, 0).isReady)
            fixture.clock.advance(by: .seconds(119))
            #expect(await fixture.prepare(image, 1).isReady)
            #expect(fixture.manifestRequests(image) == 1)
            fixture.clock.advance(by: .seconds(1))
            #expect(await fixture.prepare(image, 1).isReady)
            #expect(fixture.manifestRequests(image) == 2)
        }
    }

    @Test("forgets a declined image after five seconds") func forgetsDeclined() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a"])
            let layer = ImagesFixture.blob("a").bytes
            fixture.registry.removeBlob(image.layerDigests[0])
            #expect(await fixture.prepare(image, 0).reason == .notFound)
            fixture.registry.addBlob(layer)
            fixture.clock.advance(by: .milliseconds(4999))
            #expect(await fixture.prepare(image, 0).reason == .notFound)
            fixture.clock.advance(by: .milliseconds(1))
            #expect(await fixture.prepare(image, 0).isReady)
        }
    }

    @Test("goes on without a caller that is cancelled") func survivesCancellation() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a"])
            let gate = fixture.registry.hold(.manifest)
            let caller = Task { await fixture.prepare(image, 0) }
            await gate.waitUntilHeld(1)
            caller.cancel()
            gate.open()
            #expect(await fixture.prepare(image, 0).isReady)
            #expect(fixture.manifestRequests(image) == 1)
            _ = await caller.value
        }
    }

    // MARK: - Chains

    @Test("keeps images apart that state the same chain ID for different layers")
    func separatesChainsOfOneID() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let first = fixture.publish(["a"], tag: "one")
            let second = fixture.publish(["b"], tag: "two")
            let chains = [
                try #require(await fixture.prepareAll(first, chain: "same")),
                try #require(await fixture.prepareAll(second, chain: "same")),
            ]
            for (chain, name) in zip(chains, ["a", "b"]) {
                _ = try await fixture.images.mountedDirectory(ofChain: chain)
                #expect(try fixture.names(in: chain) == [name])
            }
        }
    }

    private static let unknown = ChainKey(id: Digest.of([0]))

    @Test("does not mount an unknown chain") func refusesUnknownChain() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let error = await #expect(throws: FallbackReason.self) {
                try await fixture.images.mountedDirectory(ofChain: Self.unknown)
            }
            #expect(error?.code == .mount)
            #expect(await !fixture.images.isUsable(Self.unknown))
        }
    }

    @Test("mounts a chain once for all who ask, and forgets it after them") func forgetsWhileMounting() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a"])
            let chain = try #require(await fixture.prepareAll(image))
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { _ = try? await fixture.images.mountedDirectory(ofChain: chain) } }
                group.addTask { _ = await fixture.images.forget(chain) }
            }
            #expect(await fixture.images.forget(chain))
            #expect(await !fixture.images.sweep(), "the opened image still has the layer")
            fixture.clock.advance(by: .seconds(120))
            // The background work of the mount may still hold the layer for a moment.
            #expect(await eventually { await fixture.images.sweep() })
            #expect(try fixture.stored(image.layerDigests[0]) == nil)
            #expect(!fixture.fileSystem.hasChain(chain.id))
            #expect(await !fixture.images.isUsable(chain))
            // A later request restores the chain.
            #expect(await fixture.prepare(image, 0).isReady)
            #expect(try await fixture.images.mountedDirectory(ofChain: chain) == "/mount/\(chain.id.hex)")
        }
    }

    @Test("sweeps chains without a snapshot, and layers that no chain has") func sweeps() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a", "b", "c"])
            let used = try #require(await fixture.prepare(image, 0).chain)
            let unused = try #require(await fixture.prepareAll(fixture.publish(["d"], tag: "d")))
            _ = try await fixture.images.mountedDirectory(ofChain: unused)
            let layer = try #require(fixture.store.keys(ofBlob: image.layerDigests[0]).first)
            _ = try SnapshotRecords(fixture.state).createRemote(
                RemoteIdentity(chain: used, layer: layer), parent: "", labels: [:],
                usage: SnapshotUsage(size: 1, inodes: 1))
            #expect(fixture.store.allKeys.count == 4)
            #expect(await !fixture.images.sweep())
            #expect(!fixture.fileSystem.hasChain(unused.id))
            #expect(fixture.store.allKeys.count == 4, "the opened images still have the layers")
            fixture.clock.advance(by: .seconds(120))
            // The background work of the mount may still hold the layer for a moment.
            let isSwept = await eventually {
                await fixture.images.sweep() && fixture.store.allKeys == [layer]
            }
            #expect(isSwept)
            #expect(try fixture.store.chainKeys().isEmpty)
            #expect(await fixture.images.isUsable(used))
            _ = try await fixture.images.mountedDirectory(ofChain: used)
            #expect(await fixture.images.sweep())
            #expect(try fixture.store.chainKeys() == [used])
            #expect(try fixture.names(in: used) == ["a"])
        }
    }

    @Test("sweeps layers that no chain has while another image is in memory")
    func sweepsBesideAnotherImage() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            #expect(await fixture.prepare(fixture.publish(["a", "b"]), 0).isReady)
            fixture.clock.advance(by: .seconds(120))
            let image = fixture.publish(["c", "d"], tag: "other")
            let chain = try #require(await fixture.prepare(image, 0).chain)
            let bottom = try #require(fixture.store.keys(ofBlob: image.layerDigests[0]).first)
            _ = try SnapshotRecords(fixture.state).createRemote(
                RemoteIdentity(chain: chain, layer: bottom), parent: "", labels: [:],
                usage: SnapshotUsage(size: 1, inodes: 1))
            let isSwept = await eventually {
                #expect(await !fixture.images.sweep(), "the top layer has no chain yet")
                return Set(fixture.store.allKeys.map(\.blob)) == Set(image.layerDigests)
            }
            #expect(isSwept)
            #expect(await fixture.prepareAll(image) != nil)
        }
    }

    @Test("keeps a layer that another chain has") func keepsSharedLayer() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a"])
            let bottom = try #require(await fixture.prepare(image, 0).chain)
            // The same layer on top of another chain.
            let twice = fixture.publish(["b", "a"], tag: "twice")
            let top = try #require(await fixture.prepareAll(twice))
            fixture.clock.advance(by: .seconds(120))
            #expect(await fixture.images.forget(bottom))
            #expect(await fixture.images.isUsable(top))
            #expect(await fixture.images.forget(top))
            #expect(await !fixture.images.isUsable(top))
        }
    }
}
