public import Base
public import ContentStore
public import Logging
public import Planner
public import Registry

/// The streaming engine: the only way in which bytes of layers come from registries.
///
/// The scheduler decides, the transfer runner performs requests, and the decode pool decodes, verifies and publishes
/// chunks as their bytes arrive. The thread that publishes the last chunk of a demand runs its completion. No thread
/// waits for the end of a request, and no connection is read while decoding is behind.
///
/// ``shutdown()`` must be called before the engine is released.
public final class StreamingEngine: ChunkSource {
    /// The longest time that ``shutdown()`` takes.
    private static let shutdownLimit = Duration.seconds(10)

    private let pipeline: StreamingPipeline

    /// Creates an engine and starts its threads.
    ///
    /// - Throws: `noThread` when the system has no thread left.
    public init(
        registry: RegistryClient, configuration: StreamingConfiguration = StreamingConfiguration(), logger: Logger
    ) throws(StreamingError) {
        pipeline = try StreamingPipeline(registry: registry, configuration: configuration, logger: logger)
    }

    // MARK: - Layers

    /// Tells where the blob of a layer lies. Further calls add locations, because several repositories may hold the
    /// blob. They are asked in the order of these calls, the one that worked last first.
    public func attach(_ layer: StoredLayer, locations: [BlobLocation]) {
        pipeline.scheduler.attach(layer, locations)
    }

    /// Removes a layer that nothing uses any more. Demands for it fail.
    public func detach(_ layer: StoredLayer) {
        pipeline.scheduler.detach(layer)
    }

    /// Fetches what a hint names, as far as no better hint covers the same start.
    public func prefetch(_ hint: StartHint) {
        pipeline.scheduler.prefetch(hint)
    }

    /// Fetches everything that is missing of an image's layers, in order: when nothing else needs the link, or at once
    /// where that costs no more.
    public func fill(_ layers: [StoredLayer]) {
        pipeline.scheduler.fill(layers)
    }

    /// Publishes the chunks in a part of a layer's blob that arrived in another way: a table of contents is fetched
    /// with the bytes in front of it, which is all of a small layer. Blocks while they are decoded. Wrong bytes are
    /// left to the first read.
    public func publish(_ bytes: [UInt8], at range: ByteRange, of layer: StoredLayer) {
        guard let layer = pipeline.scheduler.layer(layer.digest) else { return }
        pipeline.decoding.publish(bytes, at: range, of: layer)
    }

    /// Sets the observer of layers that become complete from now on. It is told when a layer is durable, on a thread
    /// that may wait.
    public func onLayerCompleted(_ observer: @escaping @Sendable (StoredLayer) -> Void) {
        pipeline.decoding.onLayerCompleted(observer)
    }

    /// Sets the one observer of new chunks. It runs on a decoding thread after chunks have been published, and must not
    /// wait.
    public func onChunksArrived(_ observer: @escaping @Sendable () -> Void) {
        pipeline.decoding.onArrival(observer)
    }

    // MARK: - ChunkSource

    public func demand(
        _ layer: StoredLayer, chunks: Range<Int>, completion: @escaping @Sendable (ChunkOutcome) -> Void
    ) -> DemandID {
        pipeline.scheduler.demand(layer, chunks: chunks, completion: completion)
    }

    public func cancel(_ demand: DemandID) {
        pipeline.scheduler.cancel(demand)
    }

    public func noteRead(_ layer: StoredLayer, chunks: Range<Int>) {
        if !layer.isComplete { pipeline.scheduler.noteRead(layer, chunks: chunks) }
    }

    // MARK: - Figures

    /// Returns the engine's figures.
    public func snapshot() -> StreamingSnapshot {
        pipeline.scheduler.snapshot(decodeQueueBytes: pipeline.decoding.queuedBytes)
    }

    /// Returns the statistics of these layers together.
    public func statistics(of layers: [StoredLayer]) -> LayerStatistics {
        pipeline.scheduler.statistics(of: layers)
    }

    // MARK: - End

    /// Ends everything: demands fail, requests are cancelled, threads are joined. Later demands fail at once. Returns
    /// when that is done, after ten seconds at the latest.
    public func shutdown() async {
        await pipeline.shutdown(limit: Self.shutdownLimit)
    }
}
