import Base
import ContentStore
import Images
import NodeDatabase
import Registry
import TestRegistry
import TestSupport
import Testing

/// The rights of repositories to layers that the node has stored for other repositories.
@Suite("rights", .timeLimit(.minutes(1))) struct RightsTests {
    /// Publishes the fixture's layer `a` in the repository `name` of `registry`.
    private static func publish(_ name: String, in registry: TestRegistry) -> PublishedImage {
        let blob = ImagesFixture.blob("a")
        return registry.addImage(
            repository: name,
            layers: [TestLayer(blob.bytes, annotations: blob.annotations, diffID: Digest.of(blob.tar))])
    }

    @Test("a repository that holds the blob shares the stored layer, and shows that once")
    func sharesWithHolder() async throws {
        var options = ImageOptions()
        options.verifiesLayers = false
        try await ImagesFixture.with(options) { (fixture) async throws in
            let first = Self.publish("team/app", in: fixture.registry)
            #expect(await fixture.prepare(first, 0).isReady)
            let second = Self.publish("other/app", in: fixture.registry)
            let before = fixture.requests(first.layerDigests[0])
            #expect(await fixture.prepare(second, 0).isReady)
            let after = fixture.requests(first.layerDigests[0])
            #expect(after > before, "the second repository shows that it has the blob")
            fixture.clock.advance(by: .seconds(180))
            #expect(await fixture.prepare(second, 0).isReady)
            #expect(fixture.requests(first.layerDigests[0]) == after, "the result is kept")
            #expect(fixture.store.keys(ofBlob: first.layerDigests[0]).count == 1)
        }
    }

    @Test(
        "a repository without the blob, or with other bytes, does not read the stored layer", arguments: [false, true])
    func refusesOthers(hasOtherBytes: Bool) async throws {
        try await ImagesFixture.with { (fixture) async throws in
            try await TestRegistry.withRegistry(Behaviour()) { (evil) async throws in
                let image = Self.publish("private/app", in: fixture.registry)
                #expect(await fixture.prepare(image, 0).isReady)
                let copy = Self.publish("evil/app", in: evil)
                evil.removeBlob(copy.layerDigests[0])
                if hasOtherBytes {
                    let size = ImagesFixture.blob("a").bytes.count
                    evil.addBlob([UInt8](repeating: 1, count: size), as: copy.layerDigests[0])
                }
                let reason = await fixture.prepare(copy, 0).reason
                #expect(reason == (hasOtherBytes ? .unauthorized : .notFound))
                #expect(
                    try ChainRecords(fixture.state).repositories(of: fixture.store.allKeys[0]).map(\.name)
                        == ["private/app"])
            }
        }
    }

    @Test("a registry that is not listed is not streamed from") func declinesUnlistedRegistry() async throws {
        var options = ImageOptions()
        options.registries = ["elsewhere.example"]
        try await ImagesFixture.with(options) { (fixture) async throws in
            let image = fixture.publish(["a"])
            #expect(await fixture.prepare(image, 0).reason == .untrusted)
            #expect(fixture.requests(image.layerDigests[0]) == 0)
        }
    }
}
