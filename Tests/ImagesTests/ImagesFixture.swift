import Artifacts
import Base
import Codecs
import Concurrency
import ContentStore
import Conversion
import Images
import LazyFileSystem
import LazyFixtures
import Linux
import Logging
import NIOPosix
import NodeDatabase
import Planner
import Registry
import Streaming
import TestRegistry
import TestSupport
import Testing

/// A node's images, with a registry in this process.
struct ImagesFixture: Sendable {
    let registry: TestRegistry
    let client: RegistryClient
    let store: ContentStore
    let fileSystem: LazyFileSystem
    let engine: StreamingEngine
    let state: StateDatabase
    let workers: NIOThreadPool
    let clock: ManualClock
    let images: StreamedImages

    /// The name of the repository of all images here.
    static let name = "team/app"

    var repository: Repository { Repository(host: registry.host, name: Self.name) }

    /// Publishes an image of eStargz layers, each with one file of its own.
    func publish(_ contents: [String], tag: String = "latest") -> PublishedImage {
        registry.addImage(
            repository: Self.name, tag: tag,
            layers: contents.map { content in
                let blob = Self.blob(content)
                return TestLayer(blob.bytes, annotations: blob.annotations, diffID: Digest.of(blob.tar))
            })
    }

    static func blob(_ content: String) -> EstargzBlob {
        EstargzBlob.make([.directory("dir"), .file("dir/\(content)", content + String(repeating: ".", count: 5000))])
    }

    /// Publishes an image of layers that only an artifact makes streamable.
    func publishOrdinary(
        _ contents: [String], tag: String = "latest", repository: String = name
    ) -> PublishedImage {
        registry.addImage(
            repository: repository, tag: tag,
            layers: contents.enumerated().map { number, content in
                let archive = TarWriter.archive([
                    .directory("dir"),
                    .file("dir/\(content)", Samples.text(bytes: 300_000, seed: UInt64(number + content.utf8.count))),
                ])
                return TestLayer(Compressed.gzip(archive), diffID: Digest.of(archive))
            })
    }

    /// Publishes the streaming artifact of an image, with a startup pack of the start that `profile` recorded.
    func publishArtifact(of image: PublishedImage, profile: Profile? = nil) async throws {
        let builder = ArtifactBuilder(registry: client, workers: workers, layersAtOnce: 2, logger: .silent)
        let manifest = try await client.manifest(repository, digest: image.manifestDigest)
        _ = try await builder.publish(in: repository, manifest: manifest, profile: profile, predicts: false)
    }

    /// Requests one layer as the snapshotter does.
    ///
    /// - Parameter chain: the name of a chain ID that the image states falsely; `nil` for the chain ID that its
    ///   configuration gives.
    func prepare(
        _ image: PublishedImage, _ number: Int, chain: String? = nil, namesManifest: Bool = true,
        labels: [String: String] = [:]
    ) async -> RemoteLayerOutcome {
        await images.prepareLayer(
            RemoteLayerRequest(
                imageReference: image.reference, manifestDigest: namesManifest ? image.manifestDigest : nil,
                layerDigest: image.layerDigests[number], chainID: Self.chainID(image, number, named: chain),
                parent: parent(of: image, number), labels: labels))
    }

    /// Returns a key for the chain below layer `number`; `nil` for the bottom layer. Its layers are not those of the
    /// image.
    private func parent(of image: PublishedImage, _ number: Int) -> ChainKey? {
        image.layerDigests[..<number].reduce(nil) { ChainKey(parent: $0, layer: LayerKey($1, .inherited)) }
    }

    /// Requests all layers of an image as the snapshotter does, each on the chain of the one below.
    ///
    /// - Returns: the chain of the top layer; `nil` if a layer is declined.
    func prepareAll(_ image: PublishedImage, chain: String? = nil) async -> ChainKey? {
        var parent: ChainKey?
        for number in image.layerDigests.indices {
            let outcome = await images.prepareLayer(
                RemoteLayerRequest(
                    imageReference: image.reference, manifestDigest: image.manifestDigest,
                    layerDigest: image.layerDigests[number], chainID: Self.chainID(image, number, named: chain),
                    parent: parent, labels: [:]))
            guard case .ready(let identity, _, _) = outcome else { return nil }
            parent = identity.chain
        }
        return parent
    }

    /// Returns the chain ID that `image` states for layer `number` with all layers below it.
    ///
    /// - Parameter name: the name of a false chain ID; `nil` for the chain ID that follows from the configuration.
    static func chainID(_ image: PublishedImage, _ number: Int, named name: String? = nil) -> Digest {
        if let name { return Digest.of(Array("\(name) \(number)".utf8)) }
        let chainID = image.diffIDs[...number].reduce(nil) { ImageConfiguration.chainID(of: $1, on: $0) }
        return chainID ?? image.diffIDs[number]
    }

    /// Returns the layer of an image's blob that the store has; `nil` if there is none.
    func stored(_ blob: Digest) throws -> StoredLayer? {
        try store.keys(ofBlob: blob).first.flatMap { try store.layer($0) }
    }

    /// Returns the names in the directory `dir` of a mounted chain.
    func names(in chain: ChainKey) throws -> [String] {
        let root = try #require(try fileSystem.find(.root, chain.id.hex))
        let directory = try #require(try fileSystem.find(root.id, "dir"))
        return try fileSystem.names(directory.id).filter { !$0.hasPrefix(".") }
    }

    /// Returns the number of requests for the blob `digest`.
    func requests(_ digest: Digest) -> Int { registry.requests(.blob).count { $0.path.hasSuffix("\(digest)") } }

    /// Returns the number of requests for the image's manifest by digest.
    func manifestRequests(_ image: PublishedImage) -> Int {
        registry.requests(.manifest).count { $0.path.hasSuffix("\(image.manifestDigest)") }
    }

    /// Runs `body` with a complete fixture, and shuts it down in any case.
    static func with(
        _ options: ImageOptions = ImageOptions(), _ behaviour: Behaviour = Behaviour(),
        registry configure: (inout RegistryConfiguration) -> Void = { _ in }, claims: (any ImageClaimSource)? = nil,
        _ body: (ImagesFixture) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory(in: "/var/tmp") { root in
            var options = options
            // The fixture's clock stands still.
            options.verificationDelay = .zero
            var configuration = RegistryConfiguration()
            configuration.retry.baseDelay = .milliseconds(1)
            configure(&configuration)
            let client = RegistryClient(configuration, logger: .silent)
            try await TestRegistry.withRegistry(behaviour) { registry in
                let workers = NIOThreadPool(numberOfThreads: 4)
                workers.start()
                let background = NIOThreadPool(numberOfThreads: 1)
                background.start()
                let store = try ContentStore(root: root)
                var streaming = StreamingConfiguration()
                streaming.planner.fetchNothingUnread()
                let engine = try StreamingEngine(registry: client, configuration: streaming, logger: .silent)
                let fileSystem = LazyFileSystem(source: engine) { nil }
                let state = try StateDatabase(root: root + "/state")
                let clock = ManualClock()
                let images = ImageParts(
                    registry: client, containerd: nil, store: store, fileSystem: fileSystem, engine: engine,
                    state: state, workers: workers, background: background, mountPoint: "/mount", clock: clock,
                    logger: .silent
                ).images(options, claims: claims)
                let result: Result<Void, any Error>
                do {
                    result = .success(
                        try await body(
                            ImagesFixture(
                                registry: registry, client: client, store: store, fileSystem: fileSystem,
                                engine: engine, state: state, workers: workers, clock: clock, images: images)))
                } catch {
                    result = .failure(error)
                }
                await engine.shutdown()
                await client.shutdown()
                try await workers.shutdownGracefully()
                try await background.shutdownGracefully()
                try state.close()
                try result.get()
            }
        }
    }
}

extension RemoteLayerOutcome {
    /// The reason why the layer was declined; `nil` if it is ready.
    var reason: FallbackReason.Code? {
        if case .declined(let reason) = self { reason.code } else { nil }
    }

    var isReady: Bool { reason == nil }

    /// The chain of the prepared layer; `nil` if it was declined.
    var chain: ChainKey? {
        if case .ready(let identity, _, _) = self { identity.chain } else { nil }
    }
}
