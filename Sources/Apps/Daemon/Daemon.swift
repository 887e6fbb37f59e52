import Artifacts
import Base
import ContainerRuntime
import ContentStore
import FUSEServer
import Glibc
import Images
import LazyFileSystem
import Linux
import Logging
import NIOPosix
import NodeDatabase
import Planner
import Prediction
import Registry
import ServiceLifecycle
import Snapshotter
import Streaming
import SystemPackage
import UnixSignals

/// The daemon. It creates its parts in the order of their dependencies, and stops them in reverse order.
struct Daemon: Sendable {
    /// The time limit for a graceful stop. After that, the remaining work is canceled.
    private static let shutdownBound = Duration.seconds(20)
    /// The number of threads for blocking work such as SQLite and mounts, beside those for building layer indexes and
    /// merging trees. Each of these threads mostly waits for the disk.
    private static let otherWorkerThreads = 4

    let configuration: DaemonConfiguration
    let page: MetricsPage

    /// Starts all parts, runs until SIGTERM or SIGINT, and stops all parts.
    func run() async throws(StartupError) {
        let logger = Logger(label: "rivuletd")
        signal(SIGPIPE, SIG_IGN)
        // From here on, SIGTERM and SIGINT wait in this sequence until the parts run. After a signal during the start,
        // the daemon must still unmount.
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        var descriptorLimit: UInt64?
        do throws(Errno) {
            descriptorLimit = try Sys.raiseDescriptorLimit()
        } catch {
            logger.warning("failed to raise the limit of open files", metadata: ["error": "\(error)"])
        }
        try Preflight.check()
        try Preflight.makeDirectory(configuration.root, for: "the data directory (root)")
        let addressDirectory = String(configuration.address.prefix(upTo: configuration.address.lastSlash))
        try Preflight.makeDirectory(addressDirectory, for: "the directory of the socket (address)")

        var options = try imageOptions()
        let reporter = configuration.conversionService.map {
            ProfileReporter(service: $0, tokenFile: configuration.conversionToken, logger: logger)
        }
        if let reporter { options.profiles.report = { reporter.report($0) } }
        if let containerd = configuration.containerdRoot {
            ImageFileSystem.link(
                to: configuration.root, in: containerd, snapshotter: configuration.snapshotterName, logger: logger)
        }
        let store = try openStore(descriptorLimit: descriptorLimit ?? 1024, logger)
        let state = try openState()
        let registry = makeRegistry(logger)
        let engine = try makeEngine(registry, logger)
        let predictor = try makePredictor(engine, logger)
        defer { predictor?.close() }
        let root = configuration.root
        let fileSystem = LazyFileSystem(source: engine) { StoreCapacity(of: root) }
        let mount = try mount(fileSystem, logger)
        let workers = NIOThreadPool(
            numberOfThreads: options.buildsAtOnce + options.mergesAtOnce + Self.otherWorkerThreads)
        workers.start()
        let background = NIOThreadPool(numberOfThreads: 1)
        background.start()
        let images = ImageParts(
            registry: registry, containerd: configuration.containerdAddress.map { ContentClient(socket: $0) },
            store: store, fileSystem: fileSystem, engine: engine, predictor: predictor, state: state,
            workers: workers, background: background, mountPoint: mount.mountPoint, logger: logger
        ).images(options)
        page.addSource {
            registry.metrics + engine.snapshot().metrics + mount.metrics + images.metrics + store.metrics
        }
        if let predictor { page.addSource { predictor.statistics.metrics } }

        let notifier = SystemdNotifier(path: Self.environment("NOTIFY_SOCKET"), logger: logger)
        let server = try makeServer(state, images: images, logger: logger)
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(
                service: StoreService(
                    store: store, engine: engine, registry: registry, pools: [background, workers], logger: logger)),
            .init(service: mount),
            .init(service: SpaceService(keeper: try keepSpace(store, engine, logger), workers: workers)),
        ]
        if let admin = configuration.adminAddress {
            let directory = String(admin.prefix(upTo: admin.lastSlash))
            try Preflight.makeDirectory(directory, for: "the directory of the admin socket (admin.address)")
            services.append(
                .init(
                    service: AdminServer(
                        path: admin,
                        routes: AdminRoutes(page: page, profiles: ProfileRecords(state)) { mount.isHealthy },
                        logger: logger)))
        }
        if let reporter { services.append(.init(service: reporter)) }
        services.append(.init(service: server))
        var group = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [], logger: logger)
        group.maximumGracefulShutdownDuration = Self.shutdownBound
        let parts = ServiceGroup(configuration: group)
        let stopper = Task {
            for await signal in signals {
                logger.info("stopping", metadata: ["signal": "\(signal)"])
                notifier.stopping()
                await parts.triggerGracefulShutdown()
            }
        }
        defer { stopper.cancel() }
        logger.info("ready", metadata: ["address": "\(configuration.address)", "version": "\(DaemonVersion.current)"])
        notifier.ready(status: "serving \(configuration.address)")
        do {
            try await parts.run()
        } catch {
            throw StartupError(.unexpected, "the daemon ends because a part of it failed", cause: error)
        }
    }

    // MARK: - Parts

    private func imageOptions() throws(StartupError) -> ImageOptions {
        var options = ImageOptions()
        options.allowsUnverifiedTOC = configuration.allowsUnverifiedTOC
        options.prefetchesLandmarks = configuration.prefetches
        options.profiles.replays = configuration.profiles
        options.profiles.records = configuration.profiles
        options.profiles.quiet = .seconds(configuration.profileQuiet)
        options.usesArtifacts = configuration.usesArtifacts
        if let path = configuration.artifactKeys { options.artifactKeys = try artifactKeys(path) }
        options.verifiesLayers = configuration.verifiesLayers
        options.registries = configuration.registries
        options.snapshotterName = configuration.snapshotterName
        options.fillsInBackground = configuration.fillsInBackground
        if configuration.openingMemory > 0 {
            options.openingMemory = UInt64(max(64, configuration.openingMemory)) << 20
        }
        return options
    }

    private func artifactKeys(_ path: String) throws(StartupError) -> ArtifactKeys {
        do {
            return try ArtifactKeys(pem: String(decoding: try Sys.readFile(path, limit: 1 << 20), as: UTF8.self))
        } catch {
            throw StartupError(
                .configuration,
                "[trust] artifact_keys: \(path) cannot be used, give a file of public keys as openssl pkey -pubout writes them",
                cause: error)
        }
    }

    private func openStore(
        descriptorLimit: UInt64, _ logger: Logger
    ) throws(StartupError) -> ContentStore {
        var options = ContentStore.Options()
        // The other half is for sockets, and for what is opened until the store has closed files.
        options.openFiles = min(configuration.openFiles, Int(clamping: descriptorLimit / 2))
        options.limits = configuration.spaceLimits
        options.unstoredBytes = configuration.cacheMemory << 20
        options.report = { found in
            logger.warning(
                "set aside and will be rebuilt",
                metadata: ["path": "\(found.path)", "reason": "\(found.reason)", "to": "\(found.movedTo ?? "deleted")"])
        }
        do throws(ContentStoreError) {
            return try ContentStore(root: configuration.root, options: options)
        } catch {
            switch error.code {
            case .locked: throw StartupError(.alreadyRunning, error.description)
            default: throw StartupError(.unusableDirectory, error.description)
            }
        }
    }

    /// Starts the thread that keeps the store within its limits and stops background fill in time.
    private func keepSpace(
        _ store: ContentStore, _ engine: StreamingEngine, _ logger: Logger
    ) throws(StartupError) -> SpaceKeeper {
        let log = SpaceLog(limits: configuration.spaceLimits, root: configuration.root, logger: logger)
        do throws(Errno) {
            return try SpaceKeeper(store) { state in
                engine.allowFill(state.isFillAllowed)
                log.note(state)
            }
        } catch {
            throw StartupError(.unexpected, "cannot start the thread that keeps the cache within its limits: \(error)")
        }
    }

    private func openState() throws(StartupError) -> StateDatabase {
        do throws(NodeDatabaseError) {
            return try StateDatabase(root: configuration.root)
        } catch {
            throw StartupError(.unusableDirectory, error.description)
        }
    }

    private func makeRegistry(_ logger: Logger) -> RegistryClient {
        RegistryClient(
            RegistryConfiguration(
                hostDirectories: RegistryConfiguration.hostDirectories(configPath: configuration.registryConfigPath),
                credentials: DockerConfigCredentials(path: configuration.dockerConfig.map { $0 + "/config.json" }),
                userAgent: "rivulet/\(DaemonVersion.current)",
                backgroundStreams: configuration.registryBackgroundRequests,
                demandConnections: configuration.registryConnections,
                readyConnections: configuration.registryReadyConnections),
            logger: logger)
    }

    private func makeEngine(_ registry: RegistryClient, _ logger: Logger) throws(StartupError) -> StreamingEngine {
        var streaming = StreamingConfiguration()
        if configuration.fillRate > 0 {
            streaming.planner.fillBytesPerSecond = UInt64(configuration.fillRate) * 1_000_000
        }
        if !configuration.readsAhead { streaming.planner.fetchNothingUnread() }
        do throws(StreamingError) {
            return try StreamingEngine(registry: registry, configuration: streaming, logger: logger)
        } catch {
            throw StartupError(.unexpected, error.description)
        }
    }

    /// Starts the predictor, the client of the analyzer process. Returns `nil` if predictions are disabled.
    private func makePredictor(_ engine: StreamingEngine, _ logger: Logger) throws(StartupError) -> Predictor? {
        guard configuration.predicts else { return nil }
        var options = PredictorOptions()
        options.startsEarly = true
        do throws(Errno) {
            options.group = try ControlGroup.beside(
                own: "daemon", name: "analyzer",
                limits: ControlGroup.Limits(memory: 512 << 20, processorWeight: 50, processes: 16))
        } catch {
            logger.warning("cannot give the analyzer a control group", metadata: ["error": "\(error)"])
        }
        do throws(Errno) {
            let predictor = try Predictor(options) { failure in
                logger.warning(
                    "analyzer failed",
                    metadata: [
                        "reason": "\(failure.reason.rawValue)", "details": "\(failure.details)",
                        "loses_prediction": "\(failure.losesStart)",
                    ])
            }
            engine.onChunksArrived { [weak predictor] in predictor?.wake() }
            return predictor
        } catch {
            throw StartupError(.unexpected, "cannot start the thread that predicts: \(error)")
        }
    }

    private func makeServer(
        _ state: StateDatabase, images: StreamedImages, logger: Logger
    ) throws(StartupError) -> SnapshotterServer {
        var limits = SnapshotService.Limits()
        limits.prepare = .seconds(configuration.prepareTimeout)
        let inherited = InheritedSockets.listening(environment: Self.environment)
        do throws(SnapshotterError) {
            let service = try SnapshotService(state: state, remote: images, limits: limits, logger: logger)
            return try SnapshotterServer(
                service, socket: inherited.map { .inherited($0) } ?? .path(configuration.address), logger: logger)
        } catch {
            throw StartupError(error.code == .inUse ? .alreadyRunning : .unusableDirectory, error.description)
        }
    }

    private func mount(_ fileSystem: LazyFileSystem, _ logger: Logger) throws(StartupError) -> MountService {
        let mountPoint = configuration.root + "/fuse"
        try Preflight.makeDirectory(mountPoint, for: "the mount point")
        var options = FUSEOptions(log: { logger.warning("\($0)") })
        if configuration.fuseThreads > 0 { options.threads = configuration.fuseThreads }
        do throws(FUSEError) {
            let server = FUSEServer(fileSystem: fileSystem, mountPoint: mountPoint, options: options)
            try server.start()
            return MountService(server: server, mountPoint: mountPoint, logger: logger)
        } catch {
            throw StartupError(.noFUSE, error.description)
        }
    }

    private static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}

extension String {
    /// The index of the path's last slash; the start of the path if the path has no slash.
    fileprivate var lastSlash: String.Index { lastIndex(of: "/") ?? startIndex }
}
