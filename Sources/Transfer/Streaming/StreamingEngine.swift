public import Base
public import ContentStore
public import Logging
public import Planner
public import Registry

/// The streaming engine, which brings the content of layers from registries to the content store.
///
/// The scheduler decides what to fetch, and the transfer runner performs the requests. The decode pool decodes,
/// verifies and publishes chunks as their bytes arrive. The engine stops reading a connection while the decode queue is
/// full.
///
/// A demand is a reader's call for missing chunks. The thread that publishes the last of these chunks runs the demand's
/// completion. The request that brings the chunks may continue after that.
///
/// The owner must call ``shutdown()`` before it releases the engine.
public final class StreamingEngine: ChunkSource {
    /// The maximum time that ``shutdown()`` takes.
    private static let shutdownLimit = Duration.seconds(10)

    private let pipeline: StreamingPipeline

    /// Creates an engine and starts its threads.
    ///
    /// - Throws: ``StreamingError`` with code `noThread` if the system cannot start another thread.
    public init(
        registry: RegistryClient, configuration: StreamingConfiguration = StreamingConfiguration(), logger: Logger
    ) throws(StreamingError) {
        pipeline = try StreamingPipeline(registry: registry, configuration: configuration, logger: logger)
    }

    // MARK: - Layers

    /// Attaches a layer, so that the engine can fetch its chunks. `locations` name the layer's blob in the repositories
    /// that hold it. Further calls for the same layer add locations. The engine first tries the location that worked
    /// last, and then the others.
    public func attach(_ layer: StoredLayer, locations: [BlobLocation]) {
        pipeline.scheduler.attach(layer, locations)
    }

    /// Sets the function that finds further locations of a layer's blob. The engine calls it before a read fails, when
    /// a request has failed at all locations that it knows; at most once in ten seconds for a layer.
    public func findLocations(with finder: @escaping @Sendable (StoredLayer) async -> [BlobLocation]) {
        pipeline.search.find(with: finder)
    }

    /// Detaches a layer that is no longer in use, and returns its locations. Waiting and later demands for its chunks
    /// fail.
    @discardableResult
    public func detach(_ layer: StoredLayer) -> [BlobLocation] {
        pipeline.scheduler.detach(layer)
    }

    /// Begins to fetch the chunks that a hint names. Skips the chunks of a layer if a better hint already covers
    /// everything that the start of the layer's image reads.
    public func prefetch(_ hint: StartHint) {
        pipeline.scheduler.prefetch(hint)
    }

    /// Begins to fetch all missing content of an image's layers, in order. This fill normally runs only while nothing
    /// else needs the network.
    ///
    /// In two cases, fill does not yield to readers: few bytes are missing, or start hints name at least half of the
    /// missing bytes. The limits are ``PlannerConfiguration/eagerSmallest``, ``PlannerConfiguration/eagerSeconds`` and
    /// ``PlannerConfiguration/eagerLargest``.
    public func fill(_ layers: [StoredLayer]) {
        pipeline.scheduler.fill(layers)
    }

    /// Stops background fill, or allows it again. Running fill requests continue.
    public func allowFill(_ isAllowed: Bool) {
        pipeline.scheduler.allowFill(isAllowed)
    }

    /// True if a container is probably starting: a reader waits for bytes, or has waited in the last seconds.
    public var isStarting: Bool { pipeline.scheduler.isStarting }

    /// False while background fill is stopped (``allowFill(_:)``).
    public var isFillAllowed: Bool { pipeline.scheduler.isFillAllowed }

    /// Publishes the chunks in a part of a layer's blob that the caller has fetched without the engine. For example,
    /// the request for a layer's table of contents also brings the bytes before the table. For a small layer, these
    /// bytes are the whole content.
    ///
    /// Blocks while the chunks are decoded. Stops at wrong bytes without an error. The engine fetches the remaining
    /// chunks when they are first read.
    ///
    /// - Parameters:
    ///   - bytes: the part of the blob.
    ///   - range: the position of `bytes` in the blob.
    ///   - layer: the layer of the blob. If it is not attached, the call does nothing.
    public func publish(_ bytes: [UInt8], at range: ByteRange, of layer: StoredLayer) {
        guard let layer = pipeline.scheduler.layer(layer.key) else { return }
        pipeline.decoding.publish(bytes, at: range, of: layer)
    }

    /// Sets the observer of layers that become complete from now on. The engine calls the observer after it has flushed
    /// a complete layer to disk, unless the flush failed. The observer may block.
    public func onLayerCompleted(_ observer: @escaping @Sendable (StoredLayer) -> Void) {
        pipeline.decoding.onLayerCompleted(observer)
    }

    /// Sets the observer of new chunks, and replaces any earlier one. The observer runs after chunks have been
    /// published, on a decoding thread or on the thread that calls ``publish(_:at:of:)``. It must not block.
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

    /// Returns the engine's current figures, for metrics.
    public func snapshot() -> StreamingSnapshot {
        pipeline.scheduler.snapshot(decodeQueueBytes: pipeline.decoding.queuedBytes)
    }

    /// Returns the sum of the statistics of these layers since they were attached. Layers that are not attached count
    /// as zero.
    public func statistics(of layers: [StoredLayer]) -> LayerStatistics {
        pipeline.scheduler.statistics(of: layers)
    }

    // MARK: - End

    /// Stops the engine: fails all demands, cancels all requests, and joins all threads. Later demands fail at once.
    /// Returns when that is done, or after ten seconds.
    public func shutdown() async {
        await pipeline.shutdown(limit: Self.shutdownLimit)
    }
}
