import Base
import ContentStore
import Images
import LayerFormats
import Linux
import Registry
import TestRegistry
import TestSupport
import Testing

/// Every fallback reason of this module, with the fault that causes it.
@Suite("fallback", .timeLimit(.minutes(1))) struct FallbackTests {
    @Test("bad_label: a malformed reference") func badLabel() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            var image = fixture.publish(["a"])
            image.reference = "not a reference"
            #expect(await fixture.prepare(image, 0).reason == .badLabel)
        }
    }

    @Test("not_found: a registry without the manifest") func notFound() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            var image = fixture.publish(["a"])
            image.manifestDigest = Digest.of([1])
            #expect(await fixture.prepare(image, 0).reason == .notFound)
        }
    }

    @Test("limit: an image with more layers than a container can have") func limitsLayers() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish((0..<129).map { "\($0)" })
            #expect(await fixture.prepare(image, 0).reason == .limit)
        }
    }

    @Test("unauthorized: credentials that we do not have") func unauthorized() async throws {
        var behaviour = Behaviour()
        behaviour.authentication = .basic(user: "u", password: "p")
        try await ImagesFixture.with(ImageOptions(), behaviour) { (fixture) async throws in
            let image = fixture.publish(["a"])
            #expect(await fixture.prepare(image, 0).reason == .unauthorized)
        }
    }

    @Test("registry: a registry that fails") func registry() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a"])
            fixture.registry.inject(.status(500), times: 1000, into: .manifest)
            #expect(await fixture.prepare(image, 0).reason == .registry)
        }
    }

    @Test("image_mismatch: a manifest without the layer") func imageMismatch() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            var image = fixture.publish(["a"])
            image.layerDigests = [Digest.of([1])]
            #expect(await fixture.prepare(image, 0).reason == .imageMismatch)
        }
    }

    @Test("not_streamable: a manifest of an unknown kind") func unknownManifest() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            var image = fixture.publish(["a"])
            image.manifestDigest = fixture.registry.addManifest(
                Array(#"{"schemaVersion":1}"#.utf8), repository: ImagesFixture.name)
            #expect(await fixture.prepare(image, 0).reason == .notStreamable)
        }
    }

    @Test("not_streamable: a layer that promises a table of contents and has none") func notStreamable() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.registry.addImage(
                repository: ImagesFixture.name,
                layers: [
                    TestLayer(
                        Compressed.gzip(Samples.noise(bytes: 100_000, seed: 1)),
                        annotations: [EstargzBlob.tocDigestAnnotation: "\(Digest.of([1]))"])
                ])
            #expect(await fixture.prepare(image, 0).reason == .notStreamable)
        }
    }

    @Test("unverified: an ordinary layer without an artifact") func unverified() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publishOrdinary(["a"])
            #expect(await fixture.prepare(image, 0).reason == .unverified)
            #expect(fixture.requests(image.layerDigests[0]) == 0, "nothing of the layer is fetched")
        }
    }

    @Test("unverified: a table of contents of another digest") func wrongDigest() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.registry.addImage(
                repository: ImagesFixture.name,
                layers: [
                    TestLayer(
                        ImagesFixture.blob("a").bytes,
                        annotations: [EstargzBlob.tocDigestAnnotation: "\(Digest.of([1]))"])
                ])
            let reason = await fixture.prepare(image, 0).reason
            #expect(reason == .unverified || reason == .badIndex)
        }
    }

    @Test("bad_index: a table of contents that is no JSON") func badIndex() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let blob = ImagesFixture.blob("a").replacingTOC(Array("nonsense".utf8))
            let image = fixture.registry.addImage(
                repository: ImagesFixture.name, layers: [TestLayer(blob.bytes, annotations: blob.annotations)])
            #expect(await fixture.prepare(image, 0).reason == .badIndex)
        }
    }

    @Test("bad_index: a layer that its verification has refused") func refused() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a"])
            let layer = image.layerDigests[0]
            // The node keeps a layer that an artifact pinned in another repository.
            try fixture.store.refuse(LayerKey(layer, .index(.of([1]), repository: "elsewhere.example/app")))
            let blob = ImagesFixture.blob("a")
            let description = LayerDescription(
                digest: layer, size: UInt64(blob.bytes.count), mediaType: "", annotations: blob.annotations)
            let key = try #require(LayerKey(description, .standard))
            #expect(await fixture.prepare(image, 0).isReady, "a refusal of another index is not for this layer")
            try fixture.store.refuse(key)
            fixture.clock.advance(by: .seconds(120))
            #expect(await fixture.prepare(image, 0).reason == .badIndex)
        }
    }

    @Test("parent_not_remote: a layer above a declined one") func parentNotRemote() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a", "b"])
            fixture.registry.removeBlob(image.layerDigests[0])
            #expect(await fixture.prepare(image, 0).reason == .notFound)
            #expect(await fixture.prepare(image, 1).reason == .parentNotRemote)
        }
    }

    @Test("storage: a store that cannot take the layer") func storage() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a"])
            try removeTree(fixture.store.root + "/installing")
            try Sys.symlink("/proc/nowhere", path: fixture.store.root + "/installing")
            #expect(await fixture.prepare(image, 0).reason == .storage)
        }
    }

    @Test("limit: a manifest that is too large") func limit() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let blob = ImagesFixture.blob("a")
            let image = fixture.registry.addImage(
                repository: ImagesFixture.name, layers: [TestLayer(blob.bytes, annotations: blob.annotations)],
                annotations: ["large": String(repeating: "x", count: 9 << 20)])
            #expect(await fixture.prepare(image, 0).reason == .limit)
        }
    }

    @Test("timeout: a registry that does not answer") func timeout() async throws {
        try await ImagesFixture.with(registry: {
            $0.timeouts.connect = .milliseconds(100)
            $0.timeouts.firstByte = .milliseconds(100)
            $0.retry.rounds = 1
        }) { fixture in
            let image = fixture.publish(["a"])
            fixture.registry.inject(.stallHead, times: 1000, into: .manifest)
            #expect(await fixture.prepare(image, 0).reason == .timeout)
        }
    }

    @Test("mount: a chain that this node does not know") func mount() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let reason = await #expect(throws: FallbackReason.self) {
                _ = try await fixture.images.mountedDirectory(ofChain: ChainKey(id: Digest.of([1])))
            }
            #expect(reason?.code == .mount)
        }
    }

    @Test("internal: a format whose opener does not end") func opensForever() async throws {
        var options = ImageOptions()
        options.formats = LayerFormatRegistry([EndlessFormat()])
        try await ImagesFixture.with(options) { (fixture) async throws in
            #expect(await fixture.prepare(fixture.publish(["a"]), 0).reason == .internal)
        }
    }
}

/// A format that accepts every layer, and whose opener requests the same byte endlessly.
private struct EndlessFormat: LayerFormat {
    struct Opener: LayerOpener {
        var memory: OpeningMemory? { nil }

        func next(by deadline: WorkDeadline) throws(LayerFormatError) -> OpenStep { .read(.suffix(1)) }

        func receive(_ bytes: [UInt8], range: ByteRange, blobSize: UInt64) throws(LayerFormatError) {}

        func receiveCompanion(_ bytes: [UInt8]) throws(LayerFormatError) {}
    }

    let name = "endless"

    func isAnnounced(by layer: LayerDescription) -> Bool { true }

    func pin(in layer: LayerDescription) -> Digest? { nil }

    func mayBe(_ layer: LayerDescription) -> Bool { true }

    func opener(for layer: LayerDescription, options: LayerOpenOptions) -> any LayerOpener { Opener() }
}
