import Base
import Concurrency
import ContentStore
import Linux
import Logging
import Planner
import Registry
import Synchronization
import SystemPackage

/// The owner of the planner, which decides what to fetch, and of the planner's lock. The scheduler applies events under
/// the lock. It performs the planner's actions after it has released the lock.
///
/// The scheduler also keeps the attached layers, the readers' completions and the startup packs in flight. The
/// scheduler performs no transfer itself: it puts commands (``TransferOrder``) into a stream. Receivers run the
/// commands. Receivers and decoding threads report the results to the scheduler.
final class Scheduler: Sendable {
    struct State {
        var planner: Planner
        var layers: [LayerID: AttachedLayer] = [:]
        var byKey: [LayerKey: AttachedLayer] = [:]
        var completions: [DemandID: @Sendable (ChunkOutcome) -> Void] = [:]
        var gates: [RequestID: RequestGate] = [:]
        var deliveries = PackDeliveries()
    }

    /// An action of the planner, together with the objects that the action needs. The scheduler performs the effect
    /// after it has released the lock.
    private enum Effect {
        case order(RangeOrder)
        case resume(RequestGate)
        case expedite(LayerID, Int)
        case complete(@Sendable (ChunkOutcome) -> Void, ChunkOutcome)
        case recover(RecoveryOrder)
    }

    let state: Guarded<State>
    let counters: StreamingCounters
    let logger: Logger
    let orders: AsyncStream<TransferOrder>.Continuation
    /// The maximum number of bytes of a startup pack that a reader waits for. If more bytes of the pack must still
    /// arrive before the reader's chunks are complete, the planner requests these chunks instead.
    let packDistance: UInt64
    private let queue: DecodeQueue
    private let alarm = Alarm()
    private let thread = Guarded<NamedThread?>(nil)
    private let lastDemand = Atomic<UInt64>(0)

    /// Creates a scheduler and starts its alarm thread.
    ///
    /// - Throws: `Errno` if the system cannot start another thread.
    init(
        _ configuration: PlannerConfiguration, orders: AsyncStream<TransferOrder>.Continuation, queue: DecodeQueue,
        counters: StreamingCounters, logger: Logger
    ) throws(Errno) {
        state = Guarded(State(planner: Planner(configuration)))
        packDistance = configuration.joinDistanceInHint
        self.orders = orders
        self.queue = queue
        self.counters = counters
        self.logger = logger
        let started = try NamedThread(name: "rv-alarm") { [weak self, alarm] in
            alarm.run { self?.apply { $0.planner.tick(now: $1) } }
        }
        thread.withLock { $0 = started }
    }

    /// Applies an event to the planner, and performs the resulting actions after releasing the lock. Every event that
    /// may result in actions goes through this function.
    ///
    /// - Parameter event: changes the state and returns the resulting actions. Its second argument is the current time.
    func apply(_ event: (inout State, MonotonicTime) -> [PlannerAction]) {
        let now = MonotonicTime.now()
        let (effects, wake) = state.withLock { state -> ([Effect], MonotonicTime?) in
            let actions = event(&state, now)
            return (actions.compactMap { Self.effect(of: $0, &state) }, state.planner.wakeTime)
        }
        if let wake { alarm.set(wake) }
        for effect in effects {
            switch effect {
            case .order(let order): orders.yield(.ranges(order))
            case .resume(let gate): gate.open()
            case .expedite(let layer, let extent): queue.expedite(layer, extent)
            case .complete(let completion, let outcome): completion(outcome)
            case .recover(let order): orders.yield(.recovery(order))
            }
        }
    }

    private static func effect(of action: PlannerAction, _ state: inout State) -> Effect? {
        switch action {
        case .start(let request):
            guard let layer = state.layers[request.layer] else { return nil }
            let gate = RequestGate()
            state.gates[request.id] = gate
            return .order(RangeOrder(request: request, layer: layer, gate: gate))
        case .resume(let id):
            return state.gates[id].map { .resume($0) }
        case .expedite(let layer, let extent):
            return .expedite(layer, extent)
        case .complete(let demand, let outcome):
            return state.completions.removeValue(forKey: demand).map { .complete($0, outcome) }
        case .recover(let layer, let reason):
            return state.layers[layer].map { .recover(RecoveryOrder(layer: $0, reason: reason)) }
        }
    }

    // MARK: - Layers

    /// Attaches a layer. If the layer is already attached, adds `locations` to its locations.
    func attach(_ layer: StoredLayer, _ locations: [BlobLocation]) {
        state.withLock { state in
            if let known = state.byKey[layer.key] {
                known.add(locations)
                return
            }
            let id = state.planner.attach(
                LayerMap(content: layer), host: locations.first?.repository.host ?? "")
            let attached = AttachedLayer(layer, id: id, locations: locations)
            state.layers[id] = attached
            state.byKey[layer.key] = attached
        }
    }

    /// Detaches a layer, and returns its locations. Waiting and later demands for its chunks fail.
    func detach(_ layer: StoredLayer) -> [BlobLocation] {
        var locations: [BlobLocation] = []
        apply { state, now in
            guard let known = state.byKey.removeValue(forKey: layer.key) else { return [] }
            locations = known.locations
            state.layers[known.id] = nil
            let waiting = state.deliveries.drop(known.id)
            return waiting.map { .complete($0.demand, .failed(reason: "the layer is no longer in use")) }
                + state.planner.detach(known.id, now: now)
        }
        return locations
    }

    /// Returns the attached layer with this key; `nil` if there is none.
    func layer(_ key: LayerKey) -> AttachedLayer? {
        state.withLock { $0.byKey[key] }
    }

    /// Begins to fetch all missing content of these layers (``StreamingEngine/fill(_:)``).
    func fill(_ layers: [StoredLayer]) {
        apply { state, now in
            let missing = layers.compactMap { layer -> LayerID? in
                guard let known = state.byKey[layer.key], !known.content.isComplete else { return nil }
                return known.id
            }
            return state.planner.fill(missing, now: now)
        }
    }

    /// Stops background fill, or allows it again.
    func allowFill(_ isAllowed: Bool) {
        apply { state, now in state.planner.allowFill(isAllowed, now: now) }
    }

    var isStarting: Bool { state.withLock { $0.planner.isStarting(MonotonicTime.now()) } }

    var isFillAllowed: Bool { state.withLock { $0.planner.isFillAllowed } }

    // MARK: - Readers

    func demand(
        _ layer: StoredLayer, chunks: Range<Int>, completion: @escaping @Sendable (ChunkOutcome) -> Void
    ) -> DemandID {
        let id = DemandID(value: lastDemand.wrappingAdd(1, ordering: .relaxed).newValue)
        apply { state, now in
            state.completions[id] = completion
            guard let known = state.byKey[layer.key] else {
                return [.complete(id, .failed(reason: "layer \(layer.digest) has no known location"))]
            }
            guard let extents = known.map.extents(missingIn: chunks) else { return [.complete(id, .available)] }
            let reader = WaitingReaders.Reader(demand: id, layer: known.id, chunks: chunks, since: now)
            let isParked = state.deliveries.park(reader, distance: packDistance) { known.content.isAvailable($0) }
            return isParked ? [] : state.planner.demand(id, layer: known.id, extents: extents, now: now)
        }
        return id
    }

    func cancel(_ demand: DemandID) {
        apply { state, now in
            state.deliveries.cancel(demand)
                ? [.complete(demand, .cancelled)] : state.planner.cancel(demand, now: now)
        }
    }

    func noteRead(_ layer: StoredLayer, chunks: Range<Int>) {
        apply { state, now in
            guard let known = state.byKey[layer.key], let extents = known.map.extents(holding: chunks) else {
                return []
            }
            return state.planner.noteRead(known.id, extents: extents, now: now)
        }
    }

    // MARK: - Requests

    /// Returns the next extent to read from the response body of a request. Waits while the planner pauses the request.
    ///
    /// - Returns: the extent's number, and true if a reader is blocked on the extent; `nil` if the request must end.
    func nextExtent(of order: RangeOrder) async -> (extent: Int, isAwaited: Bool)? {
        while !Task.isCancelled {
            let now = MonotonicTime.now()
            let (step, wake) = state.withLock { state in
                (state.planner.nextStep(of: order.request.id, now: now), state.planner.wakeTime)
            }
            switch step {
            case .take(let extent, let isAwaited): return (extent, isAwaited)
            case .end: return nil
            case .pause:
                if let wake { alarm.set(wake) }
                await order.gate.wait()
            }
        }
        return nil
    }

    /// Records the end of a request; `failure` is `nil` after a success.
    func requestEnded(_ order: RangeOrder, failure: RequestFailure?) {
        apply { state, now in
            state.gates[order.request.id] = nil
            return state.planner.requestEnded(order.request.id, failure: failure, now: now)
        }
    }

    /// Records the end of a recovery. `failure` is `nil` after a success.
    func recoveryEnded(_ layer: AttachedLayer, failure: String?) {
        apply { $0.planner.recoveryEnded(layer.id, failure: failure, now: $1) }
    }

    /// Records that the layer's host answers only one range per request.
    func noteSingleRanges(_ layer: AttachedLayer) {
        state.withLock { $0.planner.noteSingleRanges(layer.id) }
    }

    // MARK: - Decoding

    /// Records the outcome of decoding a job.
    func decoded(_ job: DecodeJob, _ outcome: ExtentOutcome) {
        switch job.work {
        case .extent(let layer, let extent):
            switch outcome {
            case .available: break
            case .corrupt(let reason):
                // The same location would send the same bytes again.
                layer.distrust()
                report("wrong bytes from the registry", with: layer, reason: reason)
            case .unstorable(let reason):
                report("chunks not stored, readers are served from memory", with: layer, reason: reason)
            }
            apply { $0.planner.extentDone(layer.id, extent: extent, outcome: outcome, now: $1) }
        case .frame(let frame): decoded(frame, outcome)
        case .part(let part):
            let (layer, outcomes) = (part.recovery.layer, part.recovery.takeOutcomes())
            if !outcomes.isEmpty {
                apply { state, now in
                    outcomes.sorted { $0.key < $1.key }.flatMap {
                        state.planner.extentRecovered(layer.id, extent: $0.key, outcome: $0.value, now: now)
                    }
                }
            }
            part.done.fulfill()
        }
    }

    /// Logs a problem with a layer, at most once a minute for each layer.
    func report(_ problem: Logger.Message, with layer: AttachedLayer, reason: String) {
        guard let unreported = layer.shouldReport(now: .now()) else { return }
        logger.error(
            problem,
            metadata: [
                "layer": "\(layer.content.digest)", "reason": "\(reason)", "unreported": "\(unreported)",
            ])
    }

    // MARK: - End

    /// Fails all present and later demands, and ends all requests. Returns the threads that the caller must join.
    func stop(reason: String) -> [NamedThread] {
        apply { state, now in
            state.deliveries.dropAll().map { .complete($0.demand, .failed(reason: reason)) }
                + state.planner.stop(reason: reason, now: now)
        }
        orders.finish()
        alarm.close()
        for gate in state.withLock({ Array($0.gates.values) }) { gate.close() }
        return thread.withLock { thread in
            defer { thread = nil }
            return thread.map { [$0] } ?? []
        }
    }
}
