import Artifacts
import Base
import Codecs
import Conversion
import LayerFormats
import LayerIndex
import Logging
import NIOPosix
import Registry
import Streaming
import TestRegistry
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ArtifactTests {
    private static let logger = Logger.silent

    private struct Image {
        let registry: TestRegistry
        let client: RegistryClient
        let repository: Repository
        let manifest: Manifest
        let builder: ArtifactBuilder
    }

    /// The size of the large file in each layer, in bytes: enough for several restart points.
    private static let textSize = 1 << 20

    private static func archive(_ number: Int) -> [UInt8] {
        TarWriter.archive([
            .directory("dir\(number)"),
            .file("dir\(number)/text", Samples.text(bytes: textSize, seed: UInt64(number))),
            .file("dir\(number)/small", "small"), .symlink("dir\(number)/link", to: "small"),
        ])
    }

    /// One layer of gzip and one of zstd.
    private static let twoLayers: [TestLayer] = {
        let (first, second) = (archive(1), archive(2))
        return [
            TestLayer(Compressed.gzip(first), diffID: Digest.of(first)),
            TestLayer(
                Compressed.zstd(second), mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
                diffID: Digest.of(second)),
        ]
    }()

    /// Runs a test with an image. By default, the image has two layers, one of gzip and one of zstd.
    ///
    /// - Parameters:
    ///   - behaviour: the behavior of the registry.
    ///   - layers: the layers of the image; `nil` for the default ones.
    ///   - command: the command in the image's configuration; `nil` for the registry's default configuration.
    private static func withImage(
        _ behaviour: Behaviour = Behaviour(), layers: [TestLayer]? = nil, command: String? = nil,
        _ body: (Image) async throws -> Void
    ) async throws {
        let workers = NIOThreadPool(numberOfThreads: 2)
        workers.start()
        do {
            try await TestRegistry.withRegistry(behaviour) { registry in
                let layers = layers ?? twoLayers
                let diffIDs = layers.map { "\"\($0.diffID ?? Digest.of($0.bytes))\"" }.joined(separator: ",")
                let config = command.map { command in
                    Array(
                        """
                        {"architecture":"amd64","os":"linux","config":{"Cmd":["\(command)"]},
                        "rootfs":{"type":"layers","diff_ids":[\(diffIDs)]}}
                        """.utf8)
                }
                let image = registry.addImage(repository: "team/app", layers: layers, config: config)
                let client = RegistryClient(RegistryConfiguration(), logger: logger)
                let repository = Repository(host: registry.host, name: "team/app")
                do {
                    try await body(
                        Image(
                            registry: registry, client: client, repository: repository,
                            manifest: try await client.manifest(repository, digest: image.manifestDigest),
                            builder: ArtifactBuilder(
                                registry: client, workers: workers, layersAtOnce: 2, analyzer: try .built(),
                                logger: logger)))
                } catch {
                    await client.shutdown()
                    throw error
                }
                await client.shutdown()
            }
        } catch {
            try? await workers.shutdownGracefully()
            throw error
        }
        try await workers.shutdownGracefully()
    }

    @Test("finds a published artifact", arguments: [true, false]) func findsPublishedArtifact(hasReferrers: Bool)
        async throws
    {
        var behaviour = Behaviour()
        behaviour.hasReferrers = hasReferrers
        try await Self.withImage(behaviour) { image in
            let progress = Guarded<[ArtifactBuilder.Progress]>([])
            let published = try await image.builder.publish(in: image.repository, manifest: image.manifest) { step in
                progress.withLock { $0.append(step) }
            }
            #expect(!published.wasThere)
            #expect(progress.withLock { $0.map(\.bytes).max() } == image.manifest.layers.reduce(0) { $0 + $1.size })
            let finder = ArtifactFinder(registry: image.client, logger: Self.logger)
            let found = try #require(await finder.artifact(image.repository, of: image.manifest.digest))
            #expect(found == published.artifact)
            #expect(found.layers.map(\.blob) == image.manifest.layers.map(\.digest))
            #expect(found.layers[0].windows != nil && found.layers[1].windows == nil)
            #expect(found.layers.allSatisfy { $0.copy == nil })
            // Indexes as small as these are part of the manifest.
            #expect(found.layers.allSatisfy { layer in layer.indexBytes.map { Digest.of($0) } == layer.index.digest })
            // The image is unchanged, and a second run does nothing.
            let again = try await image.builder.publish(in: image.repository, manifest: image.manifest)
            #expect(again.wasThere && again.digest == published.digest)
            // A new build gives the same bytes.
            let rebuilt = try await image.builder.publish(in: image.repository, manifest: image.manifest, force: true)
            #expect(rebuilt.digest == published.digest)
        }
    }

    @Test("resumes with finished large layers", arguments: [true, false]) func resumesWithFinishedLargeLayers(
        hasReferrers: Bool
    ) async throws {
        var behaviour = Behaviour()
        behaviour.hasReferrers = hasReferrers
        try await Self.withImage(behaviour) { image in
            let workers = NIOThreadPool(numberOfThreads: 1)
            workers.start()
            let builder = ArtifactBuilder(
                registry: image.client, workers: workers, layersAtOnce: 1, keptLayer: 1, logger: Self.logger)
            let layers = image.manifest.layers.map(\.digest)
            image.registry.inject(.status(404), digest: layers[1])
            await #expect(throws: ArtifactError.self) {
                try await builder.publish(in: image.repository, manifest: image.manifest)
            }
            let before = image.registry.requests.count { $0.path.hasSuffix("\(layers[0])") }
            let published = try await builder.publish(in: image.repository, manifest: image.manifest)
            #expect(image.registry.requests.count { $0.path.hasSuffix("\(layers[0])") } == before)
            try await workers.shutdownGracefully()
            // The result equals that of an uninterrupted build, and no record of the first attempt is left.
            let left = try await image.client.referrers(image.repository, of: image.manifest.digest)
            #expect(left.map(\.digest) == [published.digest])
            let rebuilt = try await image.builder.publish(in: image.repository, manifest: image.manifest, force: true)
            #expect(rebuilt.digest == published.digest)
        }
    }

    private static func digest(_ text: String) -> Digest { Digest.of(Array(text.utf8)) }

    private static func index(_ number: Int, bytes: [UInt8]? = nil) -> StreamingArtifact.Layer {
        StreamingArtifact.Layer(
            blob: digest("blob \(number)"), diffID: digest("archive \(number)"),
            index: Descriptor(
                mediaType: "application/vnd.rivulet.layer-index.v1",
                digest: Digest.of(bytes ?? Array("index \(number)".utf8)), size: 7),
            indexBytes: bytes)
    }

    /// Lists of referrers announce an artifact's contents, so that a node can fetch them while the manifest arrives.
    @Test("referrers announce an artifact's contents", arguments: [true, false])
    func referrersAnnounceArtifactsContents(hasReferrers: Bool) async throws {
        var behaviour = Behaviour()
        behaviour.hasReferrers = hasReferrers
        try await Self.withImage(behaviour) { image in
            let pack = Descriptor(
                mediaType: "application/vnd.rivulet.startup-pack.v1", digest: Self.digest("pack"), size: 1234)
            let artifact = StreamingArtifact(
                subject: Descriptor(
                    mediaType: image.manifest.mediaType, digest: image.manifest.digest, size: image.manifest.size),
                layers: [Self.index(1), Self.index(2, bytes: [1, 2, 3])] + (3..<30).map { Self.index($0) },
                pack: (pack, 1))
            let bytes = try artifact.encoded()
            for blob in ["{}", "index 1", "pack"] { image.registry.addBlob(Array(blob.utf8)) }
            image.registry.addBlob([1, 2, 3])
            for number in 3..<30 { image.registry.addBlob(Array("index \(number)".utf8)) }
            try await image.client.pushReferrer(
                to: image.repository, bytes: bytes, as: artifact.descriptor(of: bytes), subject: image.manifest.digest)
            let told = Guarded<ArtifactContents?>(nil)
            let finder = ArtifactFinder(registry: image.client, logger: Self.logger)
            let found = await finder.artifact(image.repository, of: image.manifest.digest) { contents in
                told.withLock { $0 = contents }
            }
            #expect(found == artifact)
            let contents = try #require(told.withLock { $0 })
            // The list omits the index that the manifest contains, and its length is limited.
            #expect(contents.indexes.map(\.layer) == ([1] + (3..<14)).map { Self.digest("blob \($0)") })
            #expect(contents.indexes.map(\.index) == ([1] + (3..<14)).map { Self.digest("index \($0)") })
            #expect(contents.pack?.digest == pack.digest && contents.pack?.size == 1234)
        }
    }

    /// Tests a layer as BuildKit and `podman push --compression-format zstd` push it.
    @Test("copies a layer of one large frame") func copiesLayerOfOneLargeFrame() async throws {
        let archive = TarWriter.archive([
            .directory("dir"), .file("dir/text", Samples.text(bytes: 6 << 20, seed: 1)), .file("dir/small", "small"),
        ])
        let layer = TestLayer(
            Compressed.zstd(archive), mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
            diffID: Digest.of(archive))
        try await Self.withImage(layers: [layer]) { image in
            let progress = Guarded<[ArtifactBuilder.Progress]>([])
            let published = try await image.builder.publish(in: image.repository, manifest: image.manifest) { step in
                progress.withLock { $0.append(step) }
            }
            #expect(progress.withLock { $0.map(\.bytes).max() } == image.manifest.layers[0].size)
            let finder = ArtifactFinder(registry: image.client, logger: Self.logger)
            let found = try #require(await finder.artifact(image.repository, of: image.manifest.digest))
            #expect(found == published.artifact)
            let made = try #require(found.layers.first)
            let copy = try #require(made.copy)
            #expect(published.size == made.index.size + copy.size)
            // The index describes the layer, and its extents are frames of the copy.
            let fetch = { (digest: Digest) in
                try await image.client.blob(
                    BlobLocation(repository: image.repository, digest: digest), maximumSize: 1 << 26)
            }
            let index = try LayerIndexBlob(bytes: try await fetch(made.index.digest))
            #expect(index.blobDigest == image.manifest.layers[0].digest)
            let tree = try TreeImage(bytes: index.index.tree)
            #expect(tree.deviceTags == [image.manifest.layers[0].digest])
            let table = try ChunkTable(bytes: index.index.chunks)
            #expect(table.blobDigest == copy.digest && table.blobSize == copy.size)
            #expect(table.extentCount > 20)
            let bytes = try await fetch(copy.digest)
            let decoder = ExtentDecoder()
            for number in 0..<table.chunkCount {
                let chunk = table.chunk(number)
                let extent = table.extent(chunk.extent)
                decoder.reset(.zstd)
                var output = [UInt8](repeating: 0, count: Int(extent.decodedLength))
                let step = try output.withUnsafeMutableBytes { output in
                    try bytes[Int(extent.blob.offset)..<Int(extent.blob.end)].withUnsafeBytes {
                        try decoder.decode($0, into: output)
                    }
                }
                #expect(step.produced == output.count)
                let start = Int(chunk.innerOffset)
                #expect(Digest.of(Array(output[start..<start + Int(chunk.content.count)])) == chunk.digest)
            }
            // Another build gives the same bytes.
            let rebuilt = try await image.builder.publish(in: image.repository, manifest: image.manifest, force: true)
            #expect(rebuilt.digest == published.digest)
        }
    }

    @Test("remembers a missing artifact") func remembersMissingArtifact() async throws {
        try await Self.withImage { image in
            let finder = ArtifactFinder(registry: image.client, logger: Self.logger)
            for _ in 0..<3 { #expect(await finder.artifact(image.repository, of: image.manifest.digest) == nil) }
            #expect(image.registry.requests(.referrers).count == 1)
        }
    }

    @Test("reports layers that cannot be streamed") func reportsLayersThatCannotBeStreamed() async throws {
        let archive = Self.archive(1)
        let cases: [(TestLayer, ArtifactError.Code)] = [
            (TestLayer(Compressed.gzip(archive), diffID: Digest.of([1])), .badLayer),
            (TestLayer(Array(Compressed.gzip(archive).dropLast(100)), diffID: Digest.of(archive)), .badLayer),
            (TestLayer(Samples.noise(bytes: 5000, seed: 1)), .badLayer),
            (TestLayer(archive, mediaType: "application/vnd.wasm.content.layer.v1"), .unsupportedMediaType),
        ]
        for (layer, code) in cases {
            try await Self.withImage(layers: [layer]) { image in
                let error = await #expect(throws: ArtifactError.self) {
                    try await image.builder.publish(in: image.repository, manifest: image.manifest)
                }
                #expect(error?.code == code, "\(layer.mediaType): \(error.map { "\($0)" } ?? "")")
                let found = try await image.client.referrers(image.repository, of: image.manifest.digest)
                #expect(found.isEmpty)
            }
        }
    }

    @Test("leaves out a layer that cannot be streamed") func leavesOutLayerThatCannotBeStreamed() async throws {
        let (good, other) = (Self.archive(1), Self.archive(2))
        let layers = [
            TestLayer(Compressed.gzip(good), diffID: Digest.of(good)),
            TestLayer(other, mediaType: "application/vnd.wasm.content.layer.v1"),
            // GNU tar's old format for sparse files.
            TestLayer(TarBlock("S", "sparse", format: .gnu).sealed() + TarBlock.end),
        ]
        try await Self.withImage(layers: layers) { image in
            // The profile does not make the conversion fail: there is just no startup pack.
            let profile = Profile(
                entries: [
                    Profile.Entry(
                        path: Array("dir1/small".utf8), range: ByteRange(offset: 0, end: 5), milliseconds: 0)
                ])
            let published = try await image.builder.publish(
                in: image.repository, manifest: image.manifest, profile: profile, predicts: false)
            #expect(published.artifact.layers.map(\.diffID) == [Digest.of(good)])
            #expect(published.artifact.pack == nil)
        }
    }

    @Test("ignores an artifact of another image") func ignoresArtifactOfAnotherImage() async throws {
        try await Self.withImage { image in
            let published = try await image.builder.publish(in: image.repository, manifest: image.manifest)
            let document = try await image.client.manifest(image.repository, digest: published.digest)
            #expect(throws: ArtifactError.self) { try StreamingArtifact(document, subject: Digest.of([9])) }
            #expect(throws: ArtifactError.self) {
                try StreamingArtifact(image.manifest, subject: image.manifest.digest)
            }
        }
    }

    @Test("prefers the newest startup pack", arguments: [true, false]) func prefersNewestStartupPack(hasReferrers: Bool)
        async throws
    {
        var behaviour = Behaviour()
        behaviour.hasReferrers = hasReferrers
        try await Self.withImage(behaviour) { image in
            func profile(_ bytes: UInt64) throws -> Profile {
                let range = ByteRange(offset: 0, end: bytes)
                return Profile(
                    entries: ["dir2/text", "dir1/small", "gone"].map {
                        Profile.Entry(path: Array($0.utf8), range: range, milliseconds: 0)
                    })
            }
            func publish(_ bytes: UInt64) async throws -> ArtifactBuilder.Published {
                try await image.builder.publish(in: image.repository, manifest: image.manifest, profile: profile(bytes))
            }
            let bare = try await image.builder.publish(in: image.repository, manifest: image.manifest)
            let layerReads = image.registry.requests(.blob).filter { $0.method == "GET" && $0.range == nil }.count
            let first = try await publish(1000)
            #expect(first.artifact.layers == bare.artifact.layers && first.artifact.generation == 1)
            let whole = image.manifest.layers.map { $0.digest.description }
            let again = image.registry.requests(.blob).filter { request in
                request.method == "GET" && request.range == nil && whole.contains { request.path.hasSuffix($0) }
            }
            #expect(again.count <= layerReads, "layers are not read whole again")
            // A pack of the same profile already exists. A pack of another profile is newer.
            #expect(try await publish(1000).wasThere)
            let second = try await publish(UInt64(Self.textSize))
            #expect(!second.wasThere && second.artifact.generation == 2)
            let pack = try #require(second.artifact.pack)
            #expect(pack.size > first.artifact.pack?.size ?? .max)
            let found = await ArtifactFinder(registry: image.client, logger: Self.logger)
                .artifact(image.repository, of: image.manifest.digest)
            #expect(found == second.artifact)
            // A build without a profile does not replace the artifact by one without a pack.
            #expect(
                try await image.builder.publish(in: image.repository, manifest: image.manifest).digest == second.digest)
            // A profile of files that the image lacks gives no pack.
            let other = Profile(
                entries: [Profile.Entry(path: [1], range: ByteRange(offset: 0, end: 9), milliseconds: 0)])
            let without = try await image.builder.publish(
                in: image.repository, manifest: image.manifest, profile: other)
            #expect(without.artifact.pack == nil)
            // The signature covers only the signed pack.
            let signer = try ArtifactSigner(pem: Self.privateKey)
            let keys = try ArtifactKeys(pem: Self.publicKey)
            let signed = try signer.sign(second.artifact)
            var changed = StreamingArtifact(
                subject: signed.subject, layers: signed.layers, pack: first.artifact.pack.map { ($0, 2) })
            changed.signature = signed.signature
            #expect(keys.haveSigned(signed) && !keys.haveSigned(changed))
        }
    }

    /// The image's command predicts the reads of a start.
    @Test("predicts a start without a profile") func predictsStartWithoutProfile() async throws {
        try await Self.withImage(command: "/dir1/text") { image in
            func publish(
                _ profile: Profile? = nil, predicts: Bool = true, force: Bool = false
            ) async throws -> StreamingArtifact {
                try await image.builder.publish(
                    in: image.repository, manifest: image.manifest, profile: profile, predicts: predicts, force: force
                ).artifact
            }
            let bare = try await publish(predicts: false)
            #expect(bare.pack == nil)
            // A build skips an image that has an artifact.
            let again = try await publish()
            #expect(again == bare)
            let first = try await publish(force: true)
            #expect(first.isPackPredicted && first.generation == 1)
            let bytes = try await image.client.blob(
                BlobLocation(repository: image.repository, digest: try #require(first.pack).digest),
                maximumSize: 1 << 26)
            let end = try StartupPack.tableEnd(Array(bytes.prefix(StartupPack.headSize)))
            let pack = try StartupPack(tables: Array(bytes.prefix(end)), size: UInt64(bytes.count))
            #expect(pack.layers == [image.manifest.layers[0].digest])
            #expect(pack.pieces.reduce(0) { $0 + $1.length } == Self.textSize, "the one file that is run")
            let found = await ArtifactFinder(registry: image.client, logger: Self.logger)
                .artifact(image.repository, of: image.manifest.digest)
            #expect(found == first)
            // The prediction is deterministic.
            let rebuilt = try await publish(force: true)
            #expect(rebuilt.pack == first.pack)
            // A recorded pack replaces the predicted one, and no prediction replaces a recorded pack.
            let range = ByteRange(offset: 0, end: 100)
            let seen = Profile(
                entries: [Profile.Entry(path: Array("dir2/small".utf8), range: range, milliseconds: 0)])
            let second = try await publish(seen)
            #expect(!second.isPackPredicted && second.generation > first.generation)
            let unseen = try await publish(force: true)
            #expect(unseen.pack == nil)
        }
        // An image without a command has no prediction.
        try await Self.withImage(command: "") { image in
            let published = try await image.builder.publish(in: image.repository, manifest: image.manifest)
            #expect(published.artifact.pack == nil)
        }
    }

    /// The image's program is a file that makes the analyzer trap, loop, exhaust memory, recurse without end or send
    /// false answers.
    @Test(
        "makes an artifact without a startup pack when the analyzer fails, and says so",
        arguments: ["trap", "loop", "hog", "recurse", "lie", ""])
    func analyzerFails(_ behavior: String) async throws {
        let archive = TarWriter.archive([.directory("dir"), .file("dir/app.evil", behavior + " ")])
        let layer = TestLayer(Compressed.gzip(archive), diffID: Digest.of(archive))
        try await Self.withImage(layers: [layer], command: "/dir/app.evil") { image in
            let workers = NIOThreadPool(numberOfThreads: 1)
            workers.start()
            let messages = RecordedMessages()
            // Without a behavior, the analyzer's program does not exist.
            let published = try await ArtifactBuilder(
                registry: image.client, workers: workers, layersAtOnce: 1,
                analyzer: try .built(behavior.isEmpty ? "missing" : "HostileAnalyzer"), logger: messages.logger
            ).publish(in: image.repository, manifest: image.manifest)
            try await workers.shutdownGracefully()
            #expect(published.artifact.layers.count == 1)
            #expect(published.artifact.pack == nil)
            #expect(messages.all.count { $0.hasPrefix("skipping the predicted startup pack") } == 1, "\(messages.all)")
        }
    }

    /// The keys of these tests, in OpenSSL's format (`openssl genpkey -algorithm ed25519`, `openssl pkey -pubout`).
    private static let privateKey = """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
        -----END PRIVATE KEY-----
        """
    private static let publicKey = """
        -----BEGIN PUBLIC KEY-----
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
        -----END PUBLIC KEY-----
        """
    private static let otherKey = """
        -----BEGIN PUBLIC KEY-----
        MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=
        -----END PUBLIC KEY-----
        """

    @Test("uses only signed artifacts if keys are configured") func usesOnlySignedArtifactsIfKeysAreConfigured()
        async throws
    {
        try await Self.withImage { image in
            let own = try ArtifactKeys(pem: Self.otherKey + "\n" + Self.publicKey)
            let foreign = try ArtifactKeys(pem: Self.otherKey)
            func find(_ keys: ArtifactKeys?) async -> StreamingArtifact? {
                await ArtifactFinder(registry: image.client, keys: keys, logger: Self.logger)
                    .artifact(image.repository, of: image.manifest.digest)
            }
            let unsigned = try await image.builder.publish(in: image.repository, manifest: image.manifest)
            #expect(await find(nil) == unsigned.artifact)
            #expect(await find(own) == nil)
            let workers = NIOThreadPool(numberOfThreads: 1)
            workers.start()
            let signed = try await ArtifactBuilder(
                registry: image.client, workers: workers, layersAtOnce: 1, signer: ArtifactSigner(pem: Self.privateKey),
                logger: Self.logger
            ).publish(in: image.repository, manifest: image.manifest)
            try await workers.shutdownGracefully()
            #expect(await find(own) == signed.artifact)
            #expect(await find(foreign) == nil)
            // The signature covers all layers of the artifact.
            var changed = StreamingArtifact(subject: signed.artifact.subject, layers: [signed.artifact.layers[0]])
            changed.signature = signed.artifact.signature
            #expect(!own.haveSigned(changed) && own.haveSigned(signed.artifact))
        }
    }
}
