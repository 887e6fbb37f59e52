import Artifacts
import Base
import Concurrency
import ContentStore
import LayerFormats
import LayerIndex
import Linux
import Logging
import NIOPosix
import Planner
import Prediction
import Registry
import Streaming

/// A builder of startup packs. A pack is one blob with all chunks that a container start reads.
///
/// The builder fetches these chunks as a node would, through the image's own streaming artifact, and compresses them
/// again. So a build transfers only what a start reads, even if the image is large.
struct PackBuilder {
    /// The source from which the builder learns what a start reads.
    enum Source {
        /// The profile of a recorded start.
        case profile(Profile)
        /// A prediction of a start. The analyzer derives it from the command and the environment in the image's
        /// configuration, and from the contents of files in the image.
        case prediction(ContainerStart)
    }

    let registry: RegistryClient
    let workers: NIOThreadPool
    /// The parent of the temporary directory for fetched content.
    let scratch: String
    /// The options of the analyzer, the process that predicts the reads of a start.
    let analyzer: PredictorOptions
    let logger: Logger

    /// Builds the pack. Returns `nil` if the pack would be empty, because the image has none of the files that the
    /// source names.
    ///
    /// - Parameters:
    ///   - repository: the repository of the image.
    ///   - manifest: the image's manifest.
    ///   - layers: the layers of the streaming artifact. If they do not include all layers of `manifest`, this function
    ///     throws an ``ArtifactError`` (`invalid`).
    ///   - source: the source from which the builder learns what a start reads.
    ///   - read: called many times, to report progress. Its argument is the decoded size, in bytes, of the chunks that
    ///     the builder has fetched since the previous call.
    func pack(
        in repository: Repository, manifest: Manifest, layers: [StreamingArtifact.Layer], source: Source,
        read: @escaping @Sendable (Int) -> Void
    ) async throws(ArtifactError) -> [UInt8]? {
        let what = "the startup pack of \(repository)@\(manifest.digest)"
        do {
            return try await withTemporaryDirectory(in: scratch, prefix: "rivulet-pack-") { directory in
                try await pack(
                    in: directory, repository: repository, manifest: manifest, layers: layers, source: source,
                    read: read)
            }
        } catch let error as ArtifactError {
            throw error
        } catch let error as RegistryError {
            throw ArtifactError(registry: error, what)
        } catch {
            throw ArtifactError(.internal, "\(what): \(error)", cause: error)
        }
    }

    private func pack(
        in directory: String, repository: Repository, manifest: Manifest, layers: [StreamingArtifact.Layer],
        source: Source, read: @escaping @Sendable (Int) -> Void
    ) async throws -> [UInt8]? {
        let store = try await workers.runIfActive {
            var options = ContentStore.Options()
            options.isScratch = true
            return try ContentStore(root: directory, options: options)
        }
        var contents: [Digest: StoredLayer] = [:]
        for layer in layers { contents[layer.blob] = try await content(layer, in: repository, store: store) }
        let chain = manifest.layers.compactMap { contents[$0.digest] }
        guard chain.count == manifest.layers.count else {
            throw ArtifactError(.invalid, "the streaming artifact of \(manifest.digest) lacks some of its layers")
        }
        // The store is deleted with the pack, so any key will do.
        let key = ChainKey(id: manifest.digest)
        let tree = try await workers.runIfActive {
            try store.installChain(
                key, tree: try ContentStore.mergedTree(of: chain))
        }
        let writer = try await withEngine(Array(contents.values), in: repository) { engine in
            switch source {
            case .profile(let profile):
                let writer = try await workers.runIfActive { StartupPackWriter(profile.pieces(in: tree, chain)) }
                try await bring(writer.runs, engine: engine, read: read)
                return writer
            case .prediction(let start):
                let subject = PredictionSubject(layers: chain, includesPresent: true) {
                    try store.openTree(ofChain: key)
                }
                let pieces = try await predict(start, subject: subject, engine: engine, read: read)
                return try await workers.runIfActive { StartupPackWriter(pieces) }
            }
        }
        return writer.frameCount > 0 ? try await compress(writer) : nil
    }

    /// Predicts the reads of a start, and fetches the predicted chunks into the store. The prediction proceeds in
    /// waves, because the analyzer must read the files of one wave to find those of the next.
    ///
    /// - Returns: the predicted chunks, in the order of their expected use.
    ///
    /// - Throws: the errors of fetching, and an ``ArtifactError`` if the analyzer fails.
    private func predict(
        _ start: ContainerStart, subject: PredictionSubject, engine: StreamingEngine,
        read: @Sendable (Int) -> Void
    ) async throws -> [ChunkRun] {
        let failure = Guarded<AnalyzerFailure?>(nil)
        let predictor = try Predictor(analyzer) { found in failure.withLock { $0 = found } }
        defer { predictor.close() }
        let (events, continuation) = AsyncStream.makeStream(of: PredictionEvent.self)
        let key = PredictionKey.unique()
        predictor.begin(key, of: subject) { continuation.yield($0) }
        predictor.configure(key, start)
        var all: [PredictedRun] = []
        var wave: [PredictedRun] = []
        for await event in events {
            switch event {
            case .runs(let runs): wave += runs
            case .settled where wave.isEmpty: predictor.requestOrder(key)
            case .settled:
                all += wave
                try await bring(wave.map { ChunkRun(layer: $0.layer, chunks: $0.chunks) }, engine: engine, read: read)
                wave = []
                predictor.proceed(key)
            case .order(let files):
                let runs = Dictionary(grouping: all, by: \.inode)
                return files.flatMap { file in
                    runs[file]?.map { ChunkRun(layer: $0.layer, chunks: $0.chunks) } ?? []
                }
            case .lost(let reason):
                let details = failure.withLock { $0 }.map { ": the analyzer \($0.details)" } ?? ""
                throw ArtifactError(.internal, "the prediction failed (\(reason.rawValue))\(details)")
            }
        }
        // The stream ends only if the task is canceled.
        throw CancellationError()
    }

    private func content(
        _ layer: StreamingArtifact.Layer, in repository: Repository, store: ContentStore
    ) async throws -> StoredLayer {
        let bytes = try await registry.index(of: layer, in: repository)
        return try await workers.runIfActive {
            let key = LayerKey(layer.blob, .index(layer.index.digest, repository: "\(repository)"))
            return try store.install(key, index: try LayerIndexBlob(bytes: bytes).index)
        }
    }

    private func withEngine<Result>(
        _ layers: [StoredLayer], in repository: Repository, _ body: (StreamingEngine) async throws -> Result
    ) async throws -> Result {
        var configuration = StreamingConfiguration()
        configuration.planner.fetchNothingUnread()
        let engine = try StreamingEngine(registry: registry, configuration: configuration, logger: logger)
        for layer in layers {
            engine.attach(layer, locations: [BlobLocation(repository: repository, digest: layer.digest)])
        }
        do {
            let result = try await body(engine)
            await engine.shutdown()
            return result
        } catch {
            await engine.shutdown()
            throw error
        }
    }

    /// Fetches all chunks of `runs` into the store.
    ///
    /// - Parameter read: called after each run of chunks with the run's decoded size in bytes.
    private func bring(
        _ runs: [ChunkRun], engine: StreamingEngine, read: @Sendable (Int) -> Void
    ) async throws {
        engine.prefetch(StartHint(.recordedProfile, runs: runs))
        for run in runs {
            try await engine.bring(run)
            read(run.chunks.reduce(0) { $0 + Int(run.layer.chunks.chunk($1).content.count) })
        }
    }

    private func compress(_ writer: StartupPackWriter) async throws -> [UInt8] {
        // The map needs no limit, because the pool runs only as many frames at once as it has threads.
        let frames = try await (0..<writer.frameCount).concurrentMap(limit: .max) { number in
            try await workers.runIfActive { try writer.frame(number) }
        }
        return writer.pack(frames)
    }
}

extension StreamingEngine {
    /// Fetches the chunks of `run`, and returns when they are in the store.
    ///
    /// - Throws: an ``ArtifactError``: `badLayer` with the reason if the streaming engine cannot fetch the chunks,
    ///   `internal` if the demand was canceled.
    fileprivate func bring(_ run: ChunkRun) async throws(ArtifactError) {
        guard run.layer.missing(in: run.chunks) != nil else { return }
        let outcome = OneShot<ChunkOutcome>()
        _ = demand(run.layer, chunks: run.chunks) { outcome.fulfill($0) }
        switch await outcome.value {
        case .available: break
        case .cancelled: throw ArtifactError(.internal, "fetching layer \(run.layer.digest) was cancelled")
        case .failed(let reason): throw ArtifactError(.badLayer, "layer \(run.layer.digest): \(reason)")
        }
    }
}
