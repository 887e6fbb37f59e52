import Base
import ContentStore
import Images
import LazyFileSystem
import NodeDatabase
import Registry
import TestRegistry
import TestSupport
import Testing

/// Images that claim the layers of other images, and what those then see.
@Suite("identity of layers", .timeLimit(.minutes(1))) struct IdentityTests {
    /// Mounts the image's chain, and returns the names in its directory `dir`; `nil` if the image is not streamed.
    private static func names(
        _ image: PublishedImage, chain: String? = nil, _ fixture: ImagesFixture
    ) async throws -> [String]? {
        guard let chain = await fixture.prepareAll(image, chain: chain) else { return nil }
        _ = try await fixture.images.mountedDirectory(ofChain: chain)
        return try fixture.names(in: chain)
    }

    @Test(
        "a registry that serves its own file under a layer's digest changes no other image", arguments: [true, false])
    func separatesLyingRegistry(isFirst: Bool) async throws {
        try await ImagesFixture.with { (fixture) async throws in
            try await TestRegistry.withRegistry(Behaviour()) { (evilRegistry) async throws in
                let victim = fixture.publishOrdinary(["victim"])
                try await fixture.publishArtifact(of: victim)
                let file = ImagesFixture.blob("evil")
                // The victim's blob, but the evil file's table of contents, in a manifest of the evil registry.
                let evil = evilRegistry.addImage(
                    repository: "evil/app",
                    layers: [
                        TestLayer(
                            file.bytes, annotations: file.annotations, diffID: Digest.of(file.tar),
                            statedDigest: victim.layerDigests[0])
                    ])
                #expect(evil.layerDigests == victim.layerDigests)
                for image in isFirst ? [evil, victim] : [victim, evil] {
                    let expected = image.reference == victim.reference ? "victim" : "evil"
                    #expect(try await Self.names(image, chain: "same", fixture) == [expected])
                }
                #expect(fixture.store.keys(ofBlob: victim.layerDigests[0]).count == 2)
            }
        }
    }

    @Test("a table of contents of another size or digest is another layer") func separatesTables() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let blob = ImagesFixture.blob("a")
            let other = EstargzBlob.make([.directory("dir"), .file("dir/b", "b")])
            let honest = fixture.registry.addImage(
                repository: ImagesFixture.name, layers: [TestLayer(blob.bytes, annotations: blob.annotations)])
            let lying = fixture.registry.addImage(
                repository: "evil/app", layers: [TestLayer(blob.bytes, annotations: other.annotations)])
            #expect(await fixture.prepare(lying, 0).reason == .badIndex, "the blob has no such table of contents")
            #expect(try await Self.names(honest, fixture) == ["a"])
            #expect(await fixture.prepare(lying, 0, chain: "b").reason == .badIndex)
        }
    }

    @Test("an artifact makes a layer streamable in its own repository only, until the layer is verified")
    func separatesRepositories() async throws {
        var options = ImageOptions()
        options.verifiesLayers = false
        try await ImagesFixture.with(options) { (fixture) async throws in
            let ours = fixture.publishOrdinary(["a"])
            try await fixture.publishArtifact(of: ours)
            #expect(try await Self.names(ours, fixture) == ["a"])
            let theirs = fixture.publishOrdinary(["a"], repository: "team/other")
            #expect(theirs.layerDigests == ours.layerDigests)
            #expect(await fixture.prepare(theirs, 0).reason == .unverified)
            // A second start of the first repository uses the stored layer.
            fixture.clock.advance(by: .seconds(120))
            let before = fixture.requests(ours.layerDigests[0])
            #expect(try await Self.names(ours, fixture) == ["a"])
            #expect(fixture.requests(ours.layerDigests[0]) == before)
        }
    }

    enum Claimant: CaseIterable {
        case holder, otherDiffID, notHolder
    }

    @Test(
        "a verified layer is shared with images that state its diff ID and hold its blob", arguments: Claimant.allCases)
    func sharesVerifiedLayers(claimant: Claimant) async throws {
        try await ImagesFixture.with { (fixture) async throws in
            try await TestRegistry.withRegistry(Behaviour()) { (elsewhere) async throws in
                let ours = fixture.publishOrdinary(["a"])
                try await fixture.publishArtifact(of: ours)
                #expect(try await Self.names(ours, fixture) == ["a"])
                let (digest, diffID) = (ours.layerDigests[0], ours.diffIDs[0])
                let layer = try #require(try fixture.stored(digest))
                #expect(await eventually { layer.verifiedDiffID == diffID })

                let archive = TarWriter.archive([
                    .directory("dir"), .file("dir/a", Samples.text(bytes: 300_000, seed: 1)),
                ])
                let blob = Compressed.gzip(archive)
                #expect(Digest.of(blob) == digest)
                let stated = TestLayer(blob, diffID: claimant == .otherDiffID ? Digest.of([1]) : diffID)
                let registry = claimant == .notHolder ? elsewhere : fixture.registry
                let theirs = registry.addImage(repository: "team/other", layers: [stated])
                if claimant == .notHolder { elsewhere.removeBlob(digest) }
                let before = fixture.requests(digest)
                let outcome = await fixture.prepare(theirs, 0)
                #expect(outcome.isReady == (claimant == .holder), "\(outcome)")
                #expect(fixture.store.keys(ofBlob: digest).count == 1)
                guard outcome.isReady else { return }
                #expect(fixture.requests(digest) > before, "the repository shows that it has the blob")
                #expect(outcome.chain == ChainKey(parent: nil, layer: layer.key))
                let shown = fixture.requests(digest)
                fixture.clock.advance(by: .seconds(180))
                #expect(await fixture.prepare(theirs, 0).isReady)
                #expect(fixture.requests(digest) == shown, "the result is kept")
            }
        }
    }

    @Test("a refusal of one repository's index refuses no other layer of the blob")
    func separatesRefusals() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let ours = fixture.publishOrdinary(["a"])
            try await fixture.publishArtifact(of: ours)
            #expect(try await Self.names(ours, fixture) == ["a"])
            let key = try #require(fixture.store.keys(ofBlob: ours.layerDigests[0]).first)
            try fixture.store.refuse(
                LayerKey(ours.layerDigests[0], .index(Digest.of([1]), repository: "\(fixture.repository)")))
            fixture.clock.advance(by: .seconds(120))
            #expect(await fixture.prepare(ours, 0).isReady)
            try fixture.store.refuse(key)
            fixture.clock.advance(by: .seconds(120))
            #expect(await fixture.prepare(ours, 0).reason == .badIndex)
        }
    }

    @Test("a verified layer is streamed only under the chain ID of its archive", arguments: [true, false])
    func checksClaimsOfVerifiedLayers(isOrdinary: Bool) async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = isOrdinary ? fixture.publishOrdinary(["a", "b"]) : fixture.publish(["a", "b"])
            if isOrdinary { try await fixture.publishArtifact(of: image) }
            #expect(try await Self.names(image, fixture) == ["a", "b"])
            for (digest, diffID) in zip(image.layerDigests, image.diffIDs) {
                let layer = try #require(try fixture.stored(digest))
                #expect(await eventually { layer.verifiedDiffID == diffID }, "the layer is verified in the background")
            }
            let counts = fixture.images.metrics.reduce(into: [:]) { $0[$1.definition.name] = $1.samples.first?.value }
            #expect(counts["verified_layers_total"] == 2 && counts["unverified_layers"] == 0)
            fixture.clock.advance(by: .seconds(120))
            #expect(await fixture.prepare(image, 0, chain: "false").reason == .imageMismatch)
            let bottom = try #require(await fixture.prepare(image, 0).chain)
            let top = RemoteLayerRequest(
                imageReference: image.reference, manifestDigest: image.manifestDigest,
                layerDigest: image.layerDigests[1], chainID: image.diffIDs[1], parent: bottom, labels: [:])
            #expect(await fixture.images.prepareLayer(top).reason == .imageMismatch)
            #expect(await fixture.prepareAll(image) != nil)
        }
    }

    @Test("the records and the file system agree on the highest slot of a chain") func agreesOnSlots() {
        #expect(ChainRecords.maximumSlot == NodeID.maximumSlot)
    }
}
