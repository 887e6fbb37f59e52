import Artifacts
import Base
import Codecs
import Concurrency
import ContentStore
import Conversion
import Images
import LazyFileSystem
import Linux
import Logging
import NIOPosix
import NodeDatabase
import Planner
import Registry
import Streaming
import TestRegistry
import TestSupport

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
    func publishOrdinary(_ contents: [String], tag: String = "latest") -> PublishedImage {
        registry.addImage(
            repository: Self.name, tag: tag,
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
    func prepare(
        _ image: PublishedImage, _ number: Int, chain: String? = nil, namesManifest: Bool = true,
        labels: [String: String] = [:]
    ) async -> RemoteLayerOutcome {
        await images.prepareLayer(
            RemoteLayerRequest(
                imageReference: image.reference, manifestDigest: namesManifest ? image.manifestDigest : nil,
                layerDigest: image.layerDigests[number], chainID: Self.chain(chain ?? image.tag, number),
                parentChainID: number == 0 ? nil : Self.chain(chain ?? image.tag, number - 1), labels: labels))
    }

    /// Returns the chain ID of layer `number`, with all layers below it, of the image called `name`.
    static func chain(_ name: String, _ number: Int) -> Digest { Digest.of(Array("\(name) \(number)".utf8)) }

    /// Returns the number of requests for the blob `digest`.
    func requests(_ digest: Digest) -> Int { registry.requests(.blob).count { $0.path.hasSuffix("\(digest)") } }

    /// Returns the number of requests for the image's manifest by digest.
    func manifestRequests(_ image: PublishedImage) -> Int {
        registry.requests(.manifest).count { $0.path.hasSuffix("\(image.manifestDigest)") }
    }

    /// Runs `body` with a complete fixture, and shuts it down in any case.
    static func with(
        _ options: ImageOptions = ImageOptions(), _ behaviour: Behaviour = Behaviour(),
        registry configure: (inout RegistryConfiguration) -> Void = { _ in },
        _ body: (ImagesFixture) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory(in: "/var/tmp") { root in
            var configuration = RegistryConfiguration()
            configuration.retry.baseDelay = .milliseconds(1)
            configure(&configuration)
            let client = RegistryClient(configuration, logger: .silent)
            try await TestRegistry.withRegistry(behaviour) { registry in
                let workers = NIOThreadPool(numberOfThreads: 4)
                workers.start()
                let store = try ContentStore(root: root)
                var streaming = StreamingConfiguration()
                streaming.planner.fetchNothingUnread()
                let engine = try StreamingEngine(registry: client, configuration: streaming, logger: .silent)
                let fileSystem = LazyFileSystem(source: engine) { nil }
                let state = try StateDatabase(root: root + "/state")
                let clock = ManualClock()
                let images = ImageParts(
                    registry: client, containerd: nil, store: store, fileSystem: fileSystem, engine: engine,
                    state: state, workers: workers, mountPoint: "/mount", clock: clock, logger: .silent
                ).images(options)
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
}
