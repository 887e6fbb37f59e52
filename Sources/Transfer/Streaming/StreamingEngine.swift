public import Base
public import ContentStore
public import Logging
public import Planner
public import Registry

/// The streaming engine, which brings the content of layers from registries to the store.
///
/// The scheduler decides, and the transfer runner performs requests. The decode pool decodes, verifies and publishes
/// chunks as their bytes arrive. The thread that publishes the last chunk of a demand runs its completion. No thread
/// waits for the end of a request, and no connection is read while decoding is behind.
///
/// The owner must call ``shutdown()`` before it releases the engine.
public final class StreamingEngine: ChunkSource {
    /// The longest time that ``shutdown()`` takes.
    private static let shutdownLimit = Duration.seconds(10)

    private let pipeline: StreamingPipeline

    /// Creates an engine and starts its threads.
    ///
    /// - Throws: `noThread` if the system cannot start another thread.
    public init(
        registry: RegistryClient, configuration: StreamingConfiguration = StreamingConfiguration(), logger: Logger
    ) throws(StreamingError) {
        pipeline = try StreamingPipeline(registry: registry, configuration: configuration, logger: logger)
    }

    // MARK: - Layers

    /// Attaches a layer, and adds the locations of its blob. Further calls for the same layer add locations, because
    /// several repositories may hold the blob. The engine tries the location that worked last first, and the others in
    /// the order in which they were added.
    public func attach(_ layer: StoredLayer, locations: [BlobLocation]) {
        pipeline.scheduler.attach(layer, locations)
    }

    /// Removes a layer that is no longer in use. Demands for it fail.
    public func detach(_ layer: StoredLayer) {
        pipeline.scheduler.detach(layer)
    }

    /// Fetches the chunks that a hint names, except where a better hint covers the same start.
    public func prefetch(_ hint: StartHint) {
        pipeline.scheduler.prefetch(hint)
    }

    /// Fetches all missing content of an image's layers, in order. The planner does so when nothing else needs the
    /// network, or at once if that costs no more.
    public func fill(_ layers: [StoredLayer]) {
        pipeline.scheduler.fill(layers)
    }

    /// Publishes the chunks in a part of a layer's blob that arrived without a request of the engine. For example, a
    /// table of contents is fetched together with the bytes in front of it. Those are the whole content of a small
    /// layer.
    ///
    /// Blocks while the chunks are decoded. Ignores wrong bytes: the first read of such a chunk fetches it again.
    public func publish(_ bytes: [UInt8], at range: ByteRange, of layer: StoredLayer) {
        guard let layer = pipeline.scheduler.layer(layer.digest) else { return }
        pipeline.decoding.publish(bytes, at: range, of: layer)
    }

    /// Sets the observer of layers that become complete from now on. The engine calls it after it has flushed the layer
    /// to disk. It runs on a thread that may wait.
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

    /// Returns the sum of the statistics of these layers.
    public func statistics(of layers: [StoredLayer]) -> LayerStatistics {
        pipeline.scheduler.statistics(of: layers)
    }

    // MARK: - End

    /// Stops the engine: fails all demands, cancels requests, and joins threads. Later demands fail at once. Returns
    /// when that is done, or after ten seconds.
    public func shutdown() async {
        await pipeline.shutdown(limit: Self.shutdownLimit)
    }
}
