public import Artifacts
public import Base
import Concurrency
public import ContainerRuntime
public import ContentStore
import LayerFormats
import LayerIndex
public import LazyFileSystem
public import Logging
public import NIOPosix
public import NodeDatabase
import Planner
public import Prediction
public import Registry
public import Streaming

/// Resolves each image once: its manifest by digest, then the index of every layer side by side, over shared connections.
///
/// containerd asks for one layer after the other; the first question does the work of all, the others are answered from
/// memory. An image that could not be resolved is remembered for a short while only, so that one failure of the registry
/// does not turn streaming off.
public final class ImageResolver: RemoteImages {
    /// What may be chosen.
    public struct Policy: Sendable {
        /// Stream layers whose manifest gives no digest for the table of contents.
        public var allowUnverifiedTOC = false
        /// Stream what the image's author marked for prefetching as soon as the image is resolved.
        public var prefetches = true
        /// Look for the streaming artifact of an image whose layers cannot be streamed by themselves.
        public var usesArtifacts = true
        /// Whose artifacts are believed; `nil` for everybody's who may push to the image's repository.
        public var artifactKeys: ArtifactKeys?
        /// True if complete layers that were streamed through an artifact are verified against their image.
        public var auditsArtifacts = true
        /// Whether what a container reads first is recorded and replayed.
        public var profiles = ProfilePolicy()
        /// Stream the rest when nothing else wants the link.
        public var fillsInBackground = true
        /// Layers of one image that are opened side by side.
        public var layersAtOnce = 16
        /// How long a resolved image is remembered, in nanoseconds: long enough for one pull.
        public var remembersFor: UInt64 = 120_000_000_000
        /// How long one that was declined is, in nanoseconds: the layers of one pull, not the next pull.
        public var remembersDeclinedFor: UInt64 = 5_000_000_000

        public init() {}
    }

    private struct Key: Hashable {
        let reference: ImageReference
        let manifest: Digest?
        /// Set only when there is no manifest digest: then the labels of one layer are all there is to go by.
        let layer: Digest?
    }

    private enum ManifestSource {
        case containerd, registry
    }

    private struct Entry {
        let task: Task<OpenedImage, any Error>
        var expires: MonotonicTime
    }

    /// Images that are remembered at once; the oldest goes first. An entry is a few kilobytes.
    private static let maximumImages = 512

    /// Registries that connections are opened to before an image is asked for: those that the latest images here are from, or on a
    /// new node those that its `hosts.toml` files are about.
    private static let maximumUpstreams = 4
    /// Pods that are made so soon after another, in nanoseconds, find what was opened for that one.
    private static let expectationLasts: UInt64 = 5_000_000_000

    private let images = Guarded<[Key: Entry]>([:])
    /// When an image was last expected.
    private let expected = Guarded<MonotonicTime?>(nil)
    private let registry: RegistryClient
    private let content: ContentClient?
    private let engine: StreamingEngine
    private let layers: LayerFetcher
    private let artifacts: ArtifactFinder
    private let chains: ChainMounts
    private let profiles: ProfileKeeper
    private let policy: Policy
    private let predictor: Predictor?
    private let workers: NIOThreadPool
    private let logger: Logger

    /// A resolver over the parts that do the work. `content` is where containerd keeps what it pulls; `state` is where it keeps
    /// which layers a chain has; `workers` is the pool for blocking work; `mountPoint` is where `fileSystem` is served.
    /// `predictor` follows the starts of containers without a profile; without it nothing is predicted.
    public init(
        registry: RegistryClient, content: ContentClient?, store: ContentStore, fileSystem: LazyFileSystem,
        engine: StreamingEngine, predictor: Predictor? = nil, state: StateDatabase, workers: NIOThreadPool,
        mountPoint: String, policy: Policy, logger: Logger
    ) {
        self.registry = registry
        self.content = content
        self.engine = engine
        self.policy = policy
        self.predictor = predictor
        self.workers = workers
        self.logger = logger
        let building = AsyncSemaphore(1)
        layers = LayerFetcher(
            registry: registry, store: store, workers: workers, building: building,
            allowUnverifiedTOC: policy.allowUnverifiedTOC, isAudited: policy.auditsArtifacts, logger: logger)
        artifacts = ArtifactFinder(registry: registry, keys: policy.artifactKeys, logger: logger)
        profiles = ProfileKeeper(
            records: ProfileRecords(state), engine: engine, workers: workers, policy: policy.profiles,
            logger: logger)
        let auditor =
            policy.auditsArtifacts
            ? LayerAuditor(registry: registry, store: store, workers: workers, logger: logger) : nil
        if let auditor { engine.onLayerCompleted { auditor.audit($0) } }
        chains = ChainMounts(
            records: ChainRecords(state), store: store, fileSystem: fileSystem, engine: engine,
            profiles: profiles, workers: workers, building: building, mountPoint: mountPoint,
            auditor: auditor, predictor: predictor, fillsInBackground: policy.fillsInBackground, logger: logger)
    }

    // MARK: - RemoteImages

    public func prepareLayer(_ request: RemoteLayerRequest) async -> RemoteLayerOutcome {
        do {
            let reference: ImageReference
            do {
                reference = try ImageReference(parsing: request.imageReference)
            } catch {
                throw FallbackReason(.badLabel, "\(error)")
            }
            let image = try await image(reference, request)
            let (_, content, isTop) = try image.layer(request.layerDigest)
            try await chains.record(
                request.chainID, parent: request.parentChainID,
                layer: RemoteLayer(digest: request.layerDigest, repository: reference.repository))
            // The container comes next: have its tree merged and mounted while containerd finishes the pull.
            if isTop {
                if let manifest = request.manifestDigest { profiles.note(request.chainID, isOf: manifest) }
                Task {
                    _ = try? await self.chains.bringUp(request.chainID)
                    if let start = await image.start.value {
                        self.predictor?.configure(.chain(request.chainID), start)
                    }
                }
            }
            // What the layer takes once it is complete: containerd asks once, while next to nothing is here.
            return .ready(size: content.chunks.contentSize, inodes: content.tree.inodeCount)
        } catch let reason as FallbackReason {
            return .declined(reason: reason)
        } catch {
            return .declined(reason: FallbackReason(.internal, "\(error)"))
        }
    }

    public func expectImages() {
        guard registry.configuration.readyConnections > 0 else { return }
        let now = MonotonicTime.now()
        let isTime = expected.withLock { expected in
            if let last = expected, now.since(last) < Self.expectationLasts { return false }
            expected = now
            return true
        }
        guard isTime else { return }
        Task {
            var upstreams = await chains.upstreams(limit: Self.maximumUpstreams)
            if upstreams.isEmpty {
                upstreams = Array(await registry.configuredUpstreams().prefix(Self.maximumUpstreams))
            }
            for upstream in upstreams { await registry.makeReady(upstream) }
        }
    }

    public func mountedDirectory(ofChain chainID: Digest) async throws -> String {
        try await chains.bringUp(chainID)
    }

    public func isUsable(chainID: Digest) async -> Bool {
        await chains.isUsable(chainID)
    }

    public func forget(chainID: Digest) async {
        await chains.forget(chainID)
    }

    // MARK: - Resolving

    /// The image of `request`, resolved now, by an earlier call, or by one that is under way.
    private func image(_ reference: ImageReference, _ request: RemoteLayerRequest) async throws -> OpenedImage {
        let key = Key(
            reference: reference, manifest: request.manifestDigest,
            layer: request.manifestDigest == nil ? request.layerDigest : nil)
        let now = MonotonicTime.now()
        let task = images.withLock { images -> Task<OpenedImage, any Error> in
            if let entry = images[key], entry.expires > now { return entry.task }
            images = images.filter { $0.value.expires > now }
            if images.count >= Self.maximumImages, let oldest = images.min(by: { $0.value.expires < $1.value.expires })
            {
                images[oldest.key] = nil
            }
            // Not the caller's child: a client that goes away must not undo what its next try can use.
            let task = Task { try await self.resolve(reference, request) }
            images[key] = Entry(task: task, expires: now.advanced(by: policy.remembersFor))
            return task
        }
        let complete: Bool
        let result = await task.result
        switch result {
        case .success(let image): complete = image.streamable == image.layers.count
        case .failure: complete = false
        }
        if !complete {
            let soon = MonotonicTime.now().advanced(by: policy.remembersDeclinedFor)
            images.withLock { images in
                guard let entry = images[key], entry.task == task, entry.expires > soon else { return }
                images[key]?.expires = soon
            }
        }
        return try result.get()
    }

    private func resolve(_ reference: ImageReference, _ request: RemoteLayerRequest) async throws -> OpenedImage {
        let (opened, opening) = AsyncStream.makeStream(of: [StoredLayer].self)
        // However it ends, nobody waits for layers for ever.
        defer { opening.finish() }
        // Where nothing says that it is not needed, it is looked for while the manifest comes.
        let early = request.manifestDigest.map { self.artifact(of: $0, reference.repository, opened) }
        if policy.usesArtifacts, let early, await mayNeedArtifact(request) { early.begin() }
        let pulled = ContainerdContent(content, namespace: request.namespace)
        let (descriptions, configuration, manifest, source) = try await descriptions(reference, request, pulled)
        let start = MonotonicTime.now()
        let artifact = early ?? self.artifact(of: manifest, reference.repository, opened)
        let mayHavePack = descriptions.contains { LayerFetcher.asksArtifact(of: $0) }
        // What containerd has fetched is at hand: it is read before anybody wants it. Where it has no manifest it has no more.
        let known = Task { await self.configuration(configuration, source == .containerd ? pulled : nil) }
        let containerStart = Task {
            await self.containerStart(
                configuration, known.value, reference.repository, mayHavePack ? artifact : nil)
        }
        let beginning = Task { () -> Beginning? in
            if mayHavePack {
                // A layer without an index is pulled, and all above it.
                guard let found = await artifact.value,
                    descriptions.allSatisfy({ layer in
                        !LayerFetcher.asksArtifact(of: layer) || found.layers.contains { $0.blob == layer.digest }
                    })
                else { return nil }
            } else if let profile = await self.profiles.beginning(of: known.value?.chainID, reference.repository) {
                return .profile(profile)
            }
            // No layer waits for a configuration that is still to come. With a pack or a profile nothing is said of the start.
            guard await known.value != nil, let start = await containerStart.value else { return nil }
            return .start(start)
        }
        // Where there are many layers, what one of them holds would come in the way of the other tables, and nothing starts
        // before they are here.
        let isEarly = descriptions.count <= policy.layersAtOnce
        let results = await open(descriptions, of: reference, artifact, isEarly ? beginning : nil)
        let image = OpenedImage(
            layers: zip(descriptions, results).map { description, result in
                OpenedImage.Layer(digest: description.digest, size: description.size, content: result)
            }, start: containerStart)
        if !isEarly { for content in image.contents { await begin(content, beginning) } }
        opening.yield(image.contents)
        if policy.prefetches { engine.prefetch(StartHint(landmarksOf: image.contents)) }
        let hasArtifact = await artifact.isFound
        logger.info(
            "image is resolved",
            metadata: [
                "image": "\(reference)", "layers": "\(image.layers.count)", "streamable": "\(image.streamable)",
                "artifact": "\(hasArtifact)", "manifest": "\(source)",
                "milliseconds": "\(MonotonicTime.now().since(start) / 1_000_000)",
            ])
        return image
    }

    /// Whether nothing says, before the manifest is here, that the image can do without an artifact.
    private func mayNeedArtifact(_ request: RemoteLayerRequest) async -> Bool {
        let layer = LayerDescription(
            digest: request.layerDigest, size: 0, mediaType: "", annotations: request.labels)
        guard LayerFetcher.asksArtifact(of: layer) else { return false }
        return await layers.isMissing(request.layerDigest)
    }

    /// The streaming artifact of an image, which has not been looked for yet.
    ///
    /// - Parameter layers: gives those that a startup pack is about, when they are here.
    private func artifact(
        of manifest: Digest?, _ repository: Repository, _ layers: AsyncStream<[StoredLayer]>
    ) -> ArtifactLookup {
        ArtifactLookup { [self] artifact in
            guard policy.usesArtifacts, let manifest else { return nil }
            let found = await artifacts.artifact(repository, of: manifest) { contents in
                artifact.ask(
                    for: contents, in: repository, registry,
                    // Beside a profile of this node's own a predicted one is not used, and which it is is not known yet.
                    wantsPack: {
                        guard self.policy.profiles.replays else { return false }
                        return await !self.profiles.hasProfile(of: repository)
                    },
                    isMissing: { await self.layers.isMissing($0) })
            }
            if let found { await replay(found, artifact, repository, layers) }
            return found
        }
    }

    /// Requests the artifact's startup pack, if it has one, and hands it to the engine when the layers are attached.
    private func replay(
        _ found: StreamingArtifact, _ artifact: ArtifactLookup, _ repository: Repository,
        _ layers: AsyncStream<[StoredLayer]>
    ) async {
        guard policy.profiles.replays, let pack = found.pack else { return }
        let source: HintSource = found.isPackPredicted ? .predictedPack : .recordedPack
        if source < .recordedProfile, await profiles.hasProfile(of: repository) { return }
        let location = BlobLocation(repository: repository, digest: pack.digest)
        let early = await artifact.pack(location, size: pack.size)
        let request = early ?? PackRequest(location, size: pack.size, from: registry)
        Task { [engine] in
            for await opened in layers {
                engine.prefetch(StartHint(source, pack: request, layers: opened))
                return
            }
        }
    }

    /// Opens all layers, so many side by side; the results are in the order of `descriptions`.
    private func open(
        _ descriptions: [LayerDescription], of image: ImageReference, _ artifact: ArtifactLookup,
        _ beginning: Task<Beginning?, Never>?
    ) async -> [Result<StoredLayer, FallbackReason>] {
        let notOpened = FallbackReason(.internal, "not opened")
        return await withTaskGroup(of: (Int, Result<StoredLayer, FallbackReason>).self) { group in
            var results = [Result<StoredLayer, FallbackReason>](
                repeating: .failure(notOpened), count: descriptions.count)
            var started = 0
            var finished = 0
            while finished < descriptions.count {
                while started < descriptions.count, started - finished < policy.layersAtOnce {
                    let index = started
                    group.addTask { (index, await self.open(descriptions[index], of: image, artifact, beginning)) }
                    started += 1
                }
                guard let (index, result) = await group.next() else { break }
                results[index] = result
                finished += 1
            }
            return results
        }
    }

    /// What is known of the first reads of a container before all layers are open.
    private enum Beginning: Sendable {
        case profile(Profile)
        case start(ContainerStart)
    }

    /// Opens one, tells the engine where it is, and has fetched of it what is known to be needed first.
    private func open(
        _ description: LayerDescription, of image: ImageReference, _ artifact: ArtifactLookup,
        _ beginning: Task<Beginning?, Never>?
    ) async -> Result<StoredLayer, FallbackReason> {
        do throws(FallbackReason) {
            let (content, end) = try await layers.layer(description, image: image, artifact: artifact)
            engine.attach(content, locations: [BlobLocation(repository: image.repository, digest: content.digest)])
            if let end {
                try? await workers.runIfActive { [engine] in engine.publish(end.bytes, at: end.range, of: content) }
            }
            if let beginning { await begin(content, beginning) }
            return .success(content)
        } catch {
            return .failure(error)
        }
    }

    /// Has fetched of a layer what is known to be needed first.
    private func begin(_ content: StoredLayer, _ beginning: Task<Beginning?, Never>) async {
        switch await beginning.value {
        case .profile(let profile): await profiles.start(profile, of: content)
        case .start(let start): predictor?.predict(start, in: content, engine: engine)
        case nil: break
        }
    }

    /// The image's configuration, if containerd has it.
    private func configuration(_ descriptor: Descriptor?, _ pulled: ContainerdContent?) async -> ImageConfiguration? {
        guard let descriptor, let bytes = await pulled?.configuration(descriptor.digest) else { return nil }
        return try? ImageConfiguration(bytes: bytes)
    }

    /// What the image's configuration says that is run. If it is not `known` it is asked for beside the layers, so that it costs no
    /// time, and only when neither a profile nor a startup pack will say more; that it cannot be had harms nothing.
    private func containerStart(
        _ configuration: Descriptor?, _ known: ImageConfiguration?, _ repository: Repository,
        _ artifact: ArtifactLookup?
    ) async -> ContainerStart? {
        guard predictor != nil, let configuration, await !profiles.hasProfile(of: repository),
            await artifact?.value?.pack == nil
        else { return nil }
        if let known { return ContainerStart(known) }
        let bytes = try? await registry.blob(
            BlobLocation(repository: repository, digest: configuration.digest),
            maximumSize: RegistryClient.maximumConfigSize)
        return bytes.flatMap { try? ImageConfiguration(bytes: $0) }.map { ContainerStart($0) }
    }

    /// What the manifest says of each layer, bottom first, and of the configuration; and where it is from.
    private func descriptions(
        _ reference: ImageReference, _ request: RemoteLayerRequest, _ pulled: ContainerdContent?
    ) async throws(FallbackReason) -> (
        layers: [LayerDescription], configuration: Descriptor?, manifest: Digest?, source: ManifestSource
    ) {
        let manifest: Manifest
        var source = ManifestSource.registry
        do {
            if let digest = request.manifestDigest, let found = await pulled?.manifest(digest) {
                manifest = found
                source = .containerd
            } else if let digest = request.manifestDigest {
                manifest = try await registry.manifest(reference.repository, digest: digest)
            } else {
                manifest = try await registry.resolve(reference, platform: .current).manifest
            }
        } catch {
            throw FallbackReason(registry: error)
        }
        if manifest.layers.contains(where: { $0.digest == request.layerDigest }) {
            let layers = manifest.layers.map { layer in
                LayerDescription(
                    digest: layer.digest, size: layer.size, mediaType: layer.mediaType, annotations: layer.annotations)
            }
            return (layers, manifest.config, manifest.digest, source)
        }
        guard request.manifestDigest == nil else {
            throw FallbackReason(.imageMismatch, "manifest \(manifest.digest) has no layer \(request.layerDigest)")
        }
        // The tag has moved since the client read it: go by the labels of this one layer.
        let layer = LayerDescription(
            digest: request.layerDigest, size: 0, mediaType: "", annotations: request.labels)
        return ([layer], nil, nil, source)
    }
}
