import Artifacts
import Base
public import Concurrency
public import ContainerRuntime
public import ContentStore
public import LazyFileSystem
public import Logging
public import NIOPosix
public import NodeDatabase
public import Prediction
public import Registry
public import Streaming

/// The parts of the daemon that are needed to open and mount images.
public struct ImageParts: Sendable {
    public var registry: RegistryClient
    /// The client of containerd's content store; `nil` if containerd's socket is not configured.
    public var containerd: ContentClient?
    public var store: ContentStore
    public var fileSystem: LazyFileSystem
    public var engine: StreamingEngine
    /// The predictor of reads for starts that no profile covers; `nil` if prediction is disabled.
    public var predictor: Predictor?
    public var state: StateDatabase
    /// The thread pool for blocking work.
    public var workers: NIOThreadPool
    /// The thread pool for work that must not disturb containers. Its threads run only when a processor is idle.
    public var background: NIOThreadPool
    /// The directory at which `fileSystem` is mounted.
    public var mountPoint: String
    public var clock: any TimeSource
    public var logger: Logger

    public init(
        registry: RegistryClient, containerd: ContentClient?, store: ContentStore, fileSystem: LazyFileSystem,
        engine: StreamingEngine, predictor: Predictor? = nil, state: StateDatabase, workers: NIOThreadPool,
        background: NIOThreadPool, mountPoint: String, clock: any TimeSource = .system, logger: Logger
    ) {
        self.registry = registry
        self.containerd = containerd
        self.store = store
        self.fileSystem = fileSystem
        self.engine = engine
        self.predictor = predictor
        self.state = state
        self.workers = workers
        self.background = background
        self.mountPoint = mountPoint
        self.clock = clock
        self.logger = logger
    }

    /// Creates the node's ``RemoteImages`` from these parts.
    public func images(_ options: ImageOptions) -> StreamedImages { images(options, claims: nil) }

    /// Creates the node's ``RemoteImages`` from these parts.
    ///
    /// - Parameter claims: the source of the images that claim a chain; `nil` for containerd's content store.
    package func images(_ options: ImageOptions, claims: (any ImageClaimSource)?) -> StreamedImages {
        let bounds = OpeningBounds(options, clock: clock)
        let (engine, fills) = (engine, options.fillsInBackground)
        let verification = VerificationCounters()
        let documents = PulledDocuments()
        let profileRecords = ProfileRecords(state)
        let chainRecords = ChainRecords(state)
        let profiles = KnownProfiles(
            records: profileRecords, workers: workers, isEnabled: options.profiles.replays, logger: logger)
        let start = ChainStart(
            profiles: profiles,
            recorder: StartRecorder(
                records: profileRecords, engine: engine, workers: workers, policy: options.profiles, clock: clock,
                logger: logger),
            engine: engine, predictor: predictor, store: store, logger: logger)
        let register = ChainRegister(records: chainRecords, store: store, workers: workers)
        let finder = containerd.map {
            LocationFinder(containerd: $0, registries: options.registries, logger: logger)
        }
        if let finder { engine.findLocations { await finder.locations(of: $0) } }
        let verifier =
            options.verifiesLayers
            ? LayerVerifier(
                registry: registry, store: store, register: register, threads: (background, workers),
                counters: verification, engine: engine, fills: fills, delay: options.verificationDelay, clock: clock,
                logger: logger)
            : nil
        // The verifier holds the engine, so the engine must not hold the verifier.
        if let verifier { engine.onLayerCompleted { [weak verifier] in verifier?.layerIsComplete($0) } }
        let mounts = ChainMounts(
            assembly: ChainAssembly(
                records: chainRecords, store: store, fileSystem: fileSystem, engine: engine, start: start,
                logger: logger),
            workers: workers, bounds: bounds, mountPoint: mountPoint, logger: logger
        ) { layers in
            // Unverified layers come first.
            let isVerified = layers.map { $0.verifiedDiffID != nil }
            let ordered = zip(layers, isVerified).filter { !$1 } + zip(layers, isVerified).filter { $1 }
            if fills { engine.fill(ordered.map(\.0)) }
            verifier?.layersAreMounted(layers)
        }
        let opener = ImageOpener(
            parts: OpeningParts(
                documents: ImageDocuments(
                    registry: registry, containerd: containerd, pulledDocuments: documents),
                artifacts: ArtifactLookup(
                    registry: registry,
                    finder: ArtifactFinder(registry: registry, keys: options.artifactKeys, logger: logger)),
                layers: LayerFetcher(
                    registry: registry, store: store, records: chainRecords, workers: workers, bounds: bounds,
                    formats: options.formats, allowsUnverifiedTOC: options.allowsUnverifiedTOC),
                profiles: profiles, streaming: LayerStreaming(engine: engine, predictor: predictor, workers: workers)),
            options: ImageOpening.Options(options, predicts: predictor != nil), lookupLimit: options.optionalLookups,
            clock: clock,
            logger: logger)
        return StreamedImages(
            images: OpenedImages(
                remembersFor: options.remembersFor, remembersDeclinedFor: options.remembersDeclinedFor),
            opener: opener, register: register, mounts: mounts, start: start,
            admission: ChainAdmission(
                register: register, verifier: verifier,
                claims: claims
                    ?? containerd.map {
                        ImageClaims(containerd: $0, snapshotter: options.snapshotterName, documents: documents)
                    },
                formats: options.formats, patience: options.admissionPatience, clock: clock, logger: logger),
            expected: ExpectedImages(registry: registry, chains: register, clock: clock),
            registries: options.registries,
            verification: verification,
            finder: finder, store: store, clock: clock)
    }
}

extension ImageOpening.Options {
    init(_ options: ImageOptions, predicts: Bool) {
        self.init()
        formats = options.formats
        usesArtifacts = options.usesArtifacts
        replaysProfiles = options.profiles.replays
        self.predicts = predicts
        prefetchesLandmarks = options.prefetchesLandmarks
        layersAtOnce = options.layersAtOnce
    }
}
