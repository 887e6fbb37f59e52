import Base
import ContentStore
import Images
import LazyFileSystem
import LazyFixtures
import NodeDatabase
import Streaming
import TestRegistry
import TestSupport
import Testing

/// The reads of a start, recorded and replayed.
@Suite("profiles of starts", .timeLimit(.minutes(1))) struct ProfileTests {
    /// Publishes an image whose content is too large to arrive together with its table of contents.
    private static func publish(_ fixture: ImagesFixture, tag: String = "latest") -> PublishedImage {
        let blob = EstargzBlob.make([
            .directory("dir"), .file("dir/a", Samples.noise(bytes: 300_000, seed: 1)),
            .file("dir/b", Samples.noise(bytes: 300_000, seed: UInt64(tag.utf8.count))),
        ])
        return fixture.registry.addImage(
            repository: ImagesFixture.name, tag: tag,
            layers: [TestLayer(blob.bytes, annotations: blob.annotations, diffID: Digest.of(blob.tar))])
    }

    /// Reads the beginning of a file, even if its content is not local.
    private static func touch(_ name: String, in chain: ChainKey, _ fixture: ImagesFixture) throws {
        let fileSystem = fixture.fileSystem
        let root = try #require(try fileSystem.find(.root, chain.id.hex))
        let directory = try #require(try fileSystem.find(root.id, "dir"))
        let file = try #require(try fileSystem.find(directory.id, name))
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { buffer in
            _ = fileSystem.read(file.id, at: 0, into: buffer)
        }
    }

    /// Returns true if all of the file `name` at the root of the chain is on the node.
    private static func isReadable(_ name: String, in chain: ChainKey, _ fixture: ImagesFixture, size: Int) -> Bool {
        let fileSystem = fixture.fileSystem
        guard let root = try? fileSystem.find(.root, chain.id.hex), let file = try? fileSystem.find(root.id, name)
        else {
            return false
        }
        return withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { buffer in
            if case .bytes(size) = fileSystem.read(file.id, at: 0, into: buffer) { true } else { false }
        }
    }

    /// Advances the clock until the recorder has ended the longest start.
    private static func endStart(_ policy: ProfilePolicy, _ fixture: ImagesFixture) async {
        let pause = policy.quiet / 4
        var passed = Duration.zero
        while passed <= policy.longest {
            await fixture.clock.untilSleeping(for: pause)
            fixture.clock.advance(by: pause)
            passed += pause
        }
    }

    private static func names(_ kept: KeptProfile?) -> [String]? {
        kept?.profile.entries.map { String(decoding: $0.path, as: UTF8.self) }
    }

    @Test("records the files that a start reads, and reports the first start")
    func recordsStart() async throws {
        let reports = Guarded<[ReportedProfile]>([])
        var options = ImageOptions()
        options.profiles.longest = .seconds(20)
        options.profiles.report = { report in reports.withLock { $0.append(report) } }
        try await ImagesFixture.with(options) { (fixture) async throws in
            let image = Self.publish(fixture)
            let claim = ImagesFixture.chainID(image, 0)
            let chain = try #require(await fixture.prepare(image, 0).chain)
            _ = try await fixture.images.mountedDirectory(ofChain: chain)
            try Self.touch("a", in: chain, fixture)
            await Self.endStart(options.profiles, fixture)
            let records = ProfileRecords(fixture.state)
            #expect(
                await eventually { Self.names(try? records.find(claim, fixture.repository)) == ["dir/a"] },
                "the profile names the file that was read")
            #expect(await eventually { reports.withLock { $0.count } == 1 })
            #expect(reports.withLock { $0.first?.manifest } == image.manifestDigest)
        }
    }

    @Test("records nothing of a chain that is forgotten during its start") func dropsForgottenStart() async throws {
        var options = ImageOptions()
        // Verification, too, sleeps on the fixture's clock.
        options.verifiesLayers = false
        try await ImagesFixture.with(options) { (fixture) async throws in
            let image = Self.publish(fixture)
            let chain = try #require(await fixture.prepare(image, 0).chain)
            _ = try await fixture.images.mountedDirectory(ofChain: chain)
            try Self.touch("a", in: chain, fixture)
            await fixture.clock.untilSleeping(for: ProfilePolicy().quiet / 4)
            _ = await fixture.images.forget(chain)
            #expect(await eventually { fixture.clock.sleeperCount == 0 }, "the recorder has ended")
            #expect(try ProfileRecords(fixture.state).all().isEmpty)
        }
    }

    @Test("fetches the files that the profile of the chain names", arguments: [true, false])
    func replaysProfile(isOfSameChain: Bool) async throws {
        var options = ImageOptions()
        options.fillsInBackground = false
        try await ImagesFixture.with(options) { (fixture) async throws in
            let image = Self.publish(fixture)
            let claim = ImagesFixture.chainID(image, 0)
            let entry = Profile.Entry(
                path: Array("dir/b".utf8), range: ByteRange(offset: 0, end: 1000), milliseconds: 0)
            try ProfileRecords(fixture.state).keep(
                KeptProfile(
                    chain: isOfSameChain ? claim : Digest.of([1]), repository: fixture.repository,
                    profile: Profile(entries: [entry])))
            let chain = try #require(await fixture.prepare(image, 0).chain)
            _ = try await fixture.images.mountedDirectory(ofChain: chain)
            let layer = try #require(try fixture.stored(image.layerDigests[0]))
            #expect(await eventually { layer.presentBytes >= 300_000 })
        }
    }

    @Test("replays the pack of a recorded start, and a profile of this node beside it", arguments: [true, false])
    func replaysPackAndProfile(isKnownHere: Bool) async throws {
        var options = ImageOptions()
        options.fillsInBackground = false
        options.verifiesLayers = false
        try await ImagesFixture.with(options) { (fixture) async throws in
            let size = 1_000_000
            let archive = TarWriter.archive([
                .file("here", Samples.noise(bytes: size, seed: 1)), .file("there", Samples.noise(bytes: size, seed: 2)),
            ])
            let image = fixture.registry.addImage(
                repository: ImagesFixture.name,
                layers: [TestLayer(Compressed.gzip(archive), diffID: Digest.of(archive))])
            let profiles = ["here", "there"].map { name in
                Profile(entries: [
                    Profile.Entry(
                        path: Array(name.utf8), range: ByteRange(offset: 0, end: UInt64(size)), milliseconds: 0)
                ])
            }
            try await fixture.publishArtifact(of: image, profile: profiles[1])
            let claim = ImagesFixture.chainID(image, 0)
            if isKnownHere {
                try ProfileRecords(fixture.state).keep(
                    KeptProfile(chain: claim, repository: fixture.repository, profile: profiles[0]))
            }
            let chain = try #require(await fixture.prepare(image, 0).chain)
            _ = try await fixture.images.mountedDirectory(ofChain: chain)
            #expect(await eventually { Self.isReadable("there", in: chain, fixture, size: size) })
            if isKnownHere {
                #expect(await eventually { Self.isReadable("here", in: chain, fixture, size: size) })
            } else {
                #expect(!Self.isReadable("here", in: chain, fixture, size: size))
            }
        }
    }

    @Test("hints a layer before its chain is mounted") func hintsEarly() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let bottom = EstargzBlob.make([.file("a", Samples.noise(bytes: 300_000, seed: 1))])
            let top = ImagesFixture.blob("top")
            let image = fixture.registry.addImage(
                repository: ImagesFixture.name,
                layers: [bottom, top].map { TestLayer($0.bytes, annotations: $0.annotations) })
            let entry = Profile.Entry(path: Array("a".utf8), range: ByteRange(offset: 0, end: 9), milliseconds: 0)
            try ProfileRecords(fixture.state).keep(
                KeptProfile(
                    chain: Digest.of([1]), repository: fixture.repository, profile: Profile(entries: [entry])))
            // containerd has not requested the top layer yet.
            #expect(await fixture.prepare(image, 0).isReady)
            let layer = try #require(try fixture.stored(image.layerDigests[0]))
            #expect(await eventually { layer.presentBytes >= 300_000 })
            #expect(
                try fixture.fileSystem.names(.root).allSatisfy { Digest(hex: $0.utf8) == nil }, "no chain is mounted")
        }
    }

    @Test("replays no profile when that is switched off") func replaysNothing() async throws {
        var options = ImageOptions()
        options.profiles.replays = false
        options.fillsInBackground = false
        try await ImagesFixture.with(options) { (fixture) async throws in
            let image = Self.publish(fixture)
            let entry = Profile.Entry(
                path: Array("dir/a".utf8), range: ByteRange(offset: 0, end: 1000), milliseconds: 0)
            try ProfileRecords(fixture.state).keep(
                KeptProfile(
                    chain: ImagesFixture.chainID(image, 0), repository: fixture.repository,
                    profile: Profile(entries: [entry])))
            let chain = try #require(await fixture.prepare(image, 0).chain)
            _ = try await fixture.images.mountedDirectory(ofChain: chain)
            let requests = fixture.requests(image.layerDigests[0])
            #expect(requests == 1, "only the table of contents is fetched")
        }
    }
}
