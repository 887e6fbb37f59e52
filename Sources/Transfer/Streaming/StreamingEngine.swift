import Base
public import ContentStore
import Glibc
import LayerIndex
import Linux
public import Logging
public import Planner
public import Registry
import Synchronization
import SystemPackage

/// The transfer engine: the one way by which bytes of layers come from registries.
///
/// The ``Planner`` decides; the engine carries out. Requests run as child tasks of one task; their bodies are cut into
/// extents as they arrive, and each extent goes to a pool of own threads that decode it, verify every chunk and publish it in
/// the content store. The thread that publishes the last chunk of a demand runs its completion. No thread waits for the
/// end of a request, and nothing is read from a connection while decoding is behind.
///
/// Usable from ``init(registry:configuration:logger:)`` on; ``shutdown()`` must be called before it is let go of.
public final class StreamingEngine: ChunkSource {
    struct State {
        var planner: Planner
        var layers: [LayerID: AttachedLayer] = [:]
        var byDigest: [Digest: AttachedLayer] = [:]
        var completions: [DemandID: @Sendable (ChunkOutcome) -> Void] = [:]
        var gates: [RequestID: RequestGate] = [:]
        var packs = PackDeliveries()
    }

    /// Something to fetch.
    enum Errand: Sendable {
        case request(Order)
        case pack(DeliveryID, PackOrder)
    }

    /// A request to make.
    struct Order: Sendable {
        let request: FetchRequest
        let layer: AttachedLayer
        let gate: RequestGate
    }

    let registry: RegistryClient
    let configuration: StreamingConfiguration
    let logger: Logger
    let state: Guarded<State>
    let queue: DecodeQueue
    let alarm = Alarm()
    let upkeep = CompletionQueue()
    let counters = StreamingCounters()
    let hedging = Guarded(Hedging())
    let layerCompleted = Guarded<(@Sendable (StoredLayer) -> Void)?>(nil)
    let chunksArrived = Guarded<(@Sendable () -> Void)?>(nil)
    private let lastDemand = Atomic<UInt64>(0)
    let orders: AsyncStream<Errand>.Continuation
    private let crew: Guarded<Crew>

    /// What shutdown has to wait for.
    struct Crew: Sendable {
        var threads: [NamedThread] = []
        var transfers: Task<Void, Never>?
    }

    /// Starts the decoding threads and waits for work.
    ///
    /// - Throws: when the system has no thread left.
    public init(
        registry: RegistryClient, configuration: StreamingConfiguration = StreamingConfiguration(), logger: Logger
    ) throws(StreamingError) {
        self.registry = registry
        self.configuration = configuration
        self.logger = logger
        state = Guarded(State(planner: Planner(configuration.planner)))
        queue = DecodeQueue(limit: configuration.decodeQueueBytes)
        let (stream, continuation) = AsyncStream.makeStream(of: Errand.self)
        orders = continuation
        crew = Guarded(Crew())
        var threads: [NamedThread] = []
        do throws(Errno) {
            for index in 0..<max(1, configuration.workers ?? Self.coreCount()) {
                threads.append(
                    try NamedThread(name: "rv-decode-\(index)") { [weak self, queue, counters] in
                        Self.decode(queue, counters) { self }
                    })
            }
            threads.append(
                try NamedThread(name: "rv-alarm") { [weak self, alarm] in
                    alarm.run { self?.apply { $0.planner.tick(now: $1) } }
                })
            threads.append(
                try NamedThread(name: "rv-upkeep") { [weak self, upkeep] in
                    upkeep.run { self?.finishLayer($0) }
                })
        } catch {
            queue.close()
            alarm.close()
            upkeep.close()
            throw StreamingError(.noThread, "cannot start a thread", cause: error)
        }
        let transfers = Task { [self] in
            await withDiscardingTaskGroup { group in
                for await errand in stream {
                    group.addTask {
                        switch errand {
                        case .request(let order): await self.carryOut(order)
                        case .pack(let id, let order): await self.carryOut(id, order)
                        }
                    }
                }
                group.cancelAll()
            }
        }
        crew.withLock { [threads] in $0 = Crew(threads: threads, transfers: transfers) }
    }

    // MARK: - Layers

    /// Tells where the blob of a layer can be had. May be called again: locations that are new are added, as the same blob
    /// may lie in several repositories. They are asked in the order in which they came, the one that worked last first.
    public func attach(_ layer: StoredLayer, locations: [BlobLocation]) {
        state.withLock { state in
            if let known = state.byDigest[layer.digest] {
                known.add(locations)
                return
            }
            let id = state.planner.attach(
                LayerMap(content: layer), host: locations.first?.repository.host ?? "")
            let attached = AttachedLayer(id, layer, locations)
            state.layers[id] = attached
            state.byDigest[layer.digest] = attached
        }
    }

    /// Forgets a layer that nothing uses any more. Demands for it fail.
    public func detach(_ layer: StoredLayer) {
        apply { state, now in
            guard let known = state.byDigest.removeValue(forKey: layer.digest) else { return [] }
            state.layers[known.id] = nil
            let waiting = state.packs.drop(known.id)
            return waiting.map { .complete($0.demand, .failed(reason: "the layer is no longer in use")) }
                + state.planner.detach(known.id, now: now)
        }
    }

    /// Fetches what the layers themselves say is needed early (the eStargz prefetch landmark), in the order of `layers`.
    public func prefetch(_ layers: [StoredLayer]) {
        apply { state, now in
            let pieces = layers.compactMap { layer -> (layer: LayerID, extents: Range<Int>)? in
                guard case .blobPrefix(let end) = layer.chunks.prefetch, let known = state.byDigest[layer.digest]
                else { return nil }
                return (known.id, known.map.extents(before: end))
            }
            return state.planner.prefetch(pieces, now: now)
        }
    }

    /// Fetches what a profile says is needed early, in its order, or what is predicted.
    public func prefetch(_ pieces: [ChunkRun], isPredicted: Bool = false) {
        // There may be tens of thousands: looked up before the lock is taken that readers need.
        let missing = pieces.compactMap { piece in
            LayerMap(content: piece.layer).extents(missingIn: piece.chunks).map { (piece, $0) }
        }
        apply { state, now in
            let wanted = missing.compactMap { piece, extents -> (LayerID, Range<Int>)? in
                guard let known = state.byDigest[piece.layer.digest] else { return nil }
                // A pack of a start that was seen knows what is read; and nothing is fetched twice.
                let isComing =
                    isPredicted
                    && (state.packs.foretells(piece.layer.digest) || state.planner.isKnown(known.id, now: now))
                    || state.packs.brings(known, piece.chunks)
                return isComing ? nil : (known.id, extents)
            }
            if !isPredicted { state.planner.knowsStart(of: Set(wanted.map { $0.0 }), now: now) }
            return state.planner.prefetch(wanted, isPredicted: isPredicted, now: now)
        }
    }

    /// Fetches everything that is missing of the layers of an image, in their order: when nobody needs the link for something else,
    /// or at once where that is as good.
    public func fill(_ layers: [StoredLayer]) {
        apply { state, now in
            let missing = layers.compactMap { layer -> LayerID? in
                guard let known = state.byDigest[layer.digest], !known.content.isComplete else { return nil }
                return known.id
            }
            return state.planner.fill(missing, now: now)
        }
    }

    /// Has `body` run when a layer has become complete and that has been made durable, on a thread that may wait; for the layers
    /// of which that comes after this call.
    public func onLayerCompleted(_ body: @escaping @Sendable (StoredLayer) -> Void) {
        layerCompleted.withLock { $0 = body }
    }

    // MARK: - ChunkSource

    public func demand(
        _ layer: StoredLayer, chunks: Range<Int>, completion: @escaping @Sendable (ChunkOutcome) -> Void
    ) -> DemandID {
        let id = DemandID(value: lastDemand.wrappingAdd(1, ordering: .relaxed).newValue)
        apply { state, now in
            state.completions[id] = completion
            guard let known = state.byDigest[layer.digest] else {
                return [.complete(id, .failed(reason: "nobody has said where layer \(layer.digest) can be had"))]
            }
            guard let extents = known.map.extents(missingIn: chunks) else { return [.complete(id, .available)] }
            let waiter = PackDeliveries.Waiter(demand: id, layer: known, chunks: chunks, since: now)
            let distance = configuration.planner.joinDistanceInProfile
            if state.packs.park(waiter, distance: distance) { return [] }
            return state.planner.demand(id, layer: known.id, extents: extents, now: now)
        }
        return id
    }

    public func cancel(_ demand: DemandID) {
        apply { state, now in
            state.packs.cancel(demand) ? [.complete(demand, .cancelled)] : state.planner.cancel(demand, now: now)
        }
    }

    public func noteRead(_ layer: StoredLayer, chunks: Range<Int>) {
        guard !layer.isComplete else { return }
        apply { state, now in
            guard let known = state.byDigest[layer.digest], let extents = known.map.extents(holding: chunks) else {
                return []
            }
            return state.planner.noteRead(known.id, extents: extents, now: now)
        }
    }

    // MARK: - Figures

    /// What has been done so far.
    public func snapshot() -> StreamingSnapshot {
        let received = counters.received
        let decodeQueueBytes = queue.byteCount
        return state.withLock { state in
            StreamingSnapshot(
                planner: state.planner.statistics,
                received: PerClass(
                    demand: received.demand.value, profile: received.profile.value,
                    readahead: received.readahead.value, fill: received.fill.value),
                skipped: counters.skipped.value, decodedBytes: counters.decodedBytes.value,
                decodedExtents: counters.decodedExtents.value, decodeNanoseconds: counters.decodeNanoseconds.value,
                digestFailures: counters.digestFailures.value, decodeFailures: counters.decodeFailures.value,
                storeFailures: counters.storeFailures.value, backPressure: counters.backPressure.value,
                hedged: counters.hedged.value, packs: counters.packs.value,
                packsAbandoned: counters.packsAbandoned.value,
                packBytes: counters.packBytes.value,
                bytesPerSecond: state.planner.link.bytesPerSecond, answerDelay: state.planner.link.delay,
                queued: state.planner.queued, decodeQueueBytes: decodeQueueBytes,
                waitingDemands: state.completions.count, runningRequests: state.gates.count,
                pausedRequests: state.planner.pausedRequests, layers: state.layers.count,
                completeLayers: state.layers.values.count { $0.content.isComplete })
        }
    }

    /// What happened to readers of these layers, and what was fetched for them, all together.
    public func statistics(of layers: [StoredLayer]) -> LayerStatistics {
        state.withLock { state in
            layers.reduce(LayerStatistics()) { sum, layer in
                guard let known = state.byDigest[layer.digest] else { return sum }
                return sum + state.planner.statistics(of: known.id)
            }
        }
    }

    // MARK: - End

    /// Ends everything: demands fail, requests are cancelled, threads are joined. Later demands fail at once. Returns
    /// when all that is done, and after ten seconds at the latest.
    public func shutdown() async {
        let reason = "the transfer engine shuts down"
        apply { state, now in
            state.packs.drop().map { .complete($0.demand, .failed(reason: reason)) }
                + state.planner.stop(reason: reason, now: now)
        }
        orders.finish()
        queue.close()
        alarm.close()
        upkeep.close()
        for gate in state.withLock({ Array($0.gates.values) }) { gate.close() }
        let crew = crew.withLock { crew in
            defer { crew = Crew() }
            return crew
        }
        guard let transfers = crew.transfers else { return }
        transfers.cancel()
        await Deadline.wait(nanoseconds: 10_000_000_000) { done in
            // Joining blocks: a thread of its own does it, and only after the tasks that feed the others.
            Task {
                await transfers.value
                let threads = crew.threads
                let joiner = try? NamedThread(name: "rv-join") {
                    for thread in threads { thread.join() }
                    done()
                }
                if joiner == nil { done() }
            }
        }
    }

    private static func coreCount() -> Int {
        Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    }
}
