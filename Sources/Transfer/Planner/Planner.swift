public import Base
public import ContentStore

/// The one place that decides what is fetched, when, and in which requests.
///
/// It is a pure value: events come in with the time, actions go out. The caller holds it behind a lock, applies an
/// event, releases the lock and carries the actions out, so every decision can be tested in virtual time.
///
/// The unit is the extent. An extent is idle, demanded (a reader waits for it to be requested), in flight (in a request
/// or in decoding), or present; it is never in two requests. ``FetchClass`` tells who goes first.
///
/// - Demands start at once, within a limit that no other class uses.
/// - A demand for an extent in flight joins it, and the extent's request becomes demand.
/// - A failure is retried after a growing pause, or the demand fails with a reason. No demand outlives
///   ``PlannerConfiguration/demandTimeout``.
/// - Fill yields to demand, and to a registry that asks for fewer requests.
public struct Planner: Sendable {
    let configuration: PlannerConfiguration
    let times: PlannerTimes
    var layers: [LayerID: LayerState] = [:]
    var demands: [DemandID: Demand] = [:]
    var awaited: [ExtentKey: AwaitedExtent] = [:]
    var requests: [RequestID: Request] = [:]

    /// Demanded extents in the order of their demands; those that nobody waits for any more are skipped.
    var demandQueue = FIFO<ExtentKey>()
    /// In the order of time.
    var deadlines = FIFO<DemandDeadline>()
    /// Demanded extents that wait for their next try.
    var retries: [ExtentRetry] = []
    /// Extents named by hints, in the order of first use.
    var hintQueue = FIFO<BackgroundEntry>()
    /// The size of the next batch of hints.
    var hintBatch: UInt64
    /// The time when ``extendHints(_:)`` last looked at the layers.
    var hintsExtended = MonotonicTime(nanoseconds: 0)
    var linkEstimate = LinkEstimate()
    /// The recent worth of neighbors over all layers; a layer's own begins with it.
    var readAround: ReadAround
    /// By host, because the answer time depends on the host.
    var throttles: [String: BackgroundThrottle] = [:]
    /// The hosts that answer one range per request.
    var singleRangeHosts: Set<String> = []
    var readaheadQueue: [BackgroundEntry] = []
    var fillQueue: [FillEntry] = []
    var nearbyFill = NearbyFill()

    var running = PerClass<Int>(repeating: 0)
    var runningBytes = PerClass<UInt64>(repeating: 0)
    /// The hosts that asked for fewer requests, and the end of the time for which only demand reaches them.
    var throttledHosts: [String: MonotonicTime] = [:]
    /// The end of a pause of everything but demand (full disk).
    var backgroundPausedUntil = MonotonicTime(nanoseconds: 0)
    /// The end of the last demand that had to wait.
    var lastDemand: MonotonicTime?
    /// The last read that the store served to a reader for the first time.
    var lastRead: MonotonicTime?
    /// The bytes that fill may request now under its ceiling; negative after a larger run.
    var fillTokens: Double
    var fillTokensAt: MonotonicTime?

    /// The sums so far.
    public internal(set) var statistics = PlannerStatistics()
    /// The time at which ``tick(now:)`` is due if no other event comes before.
    public internal(set) var wakeTime: MonotonicTime?

    var actions: [PlannerAction] = []
    private var lastLayer: UInt64 = 0
    var lastRequest: UInt64 = 0
    /// The reason for the stop; `nil` while the planner works.
    private(set) var stoppedReason: String?

    public init(_ configuration: PlannerConfiguration = PlannerConfiguration()) {
        self.configuration = configuration
        times = PlannerTimes(configuration)
        fillTokens = Double(configuration.runLimit.fill)
        hintBatch = configuration.hintFirstBatch
        readAround = ReadAround(configuration.readAround)
    }

    // MARK: - Layers

    /// Adds a layer. `host` is its registry: throttling applies to all layers of a host.
    public mutating func attach(_ map: any ExtentMap, host: String) -> LayerID {
        lastLayer += 1
        let id = LayerID(value: lastLayer)
        layers[id] = LayerState(map, host: host)
        return id
    }

    /// Removes a layer: its demands fail, and its requests end at their next extent.
    public mutating func detach(_ id: LayerID, now: MonotonicTime) -> [PlannerAction] {
        guard layers[id] != nil else { return [] }
        for demand in demands.filter({ $0.value.layer == id }).keys.sorted(by: { $0.value < $1.value }) {
            end(demand, with: .failed(reason: "the layer is no longer in use"), now: now)
        }
        hintQueue.keep { $0.layer != id }
        readaheadQueue.removeAll { $0.layer == id }
        fillQueue.removeAll { $0.layer == id }
        nearbyFill.forget(id)
        layers[id] = nil
        return finish(now)
    }

    /// Fails every demand with `reason`, ends every request, and starts nothing from now on.
    public mutating func stop(reason: String, now: MonotonicTime) -> [PlannerAction] {
        stoppedReason = reason
        _ = hintQueue.removeAll()
        readaheadQueue = []
        fillQueue = []
        for demand in demands.keys.sorted(by: { $0.value < $1.value }) {
            end(demand, with: .failed(reason: reason), now: now)
        }
        return finish(now)
    }

    /// Records that the layer's host answers one range per request: no request to it has more from now on.
    public mutating func noteSingleRanges(_ id: LayerID) {
        if let host = layers[id]?.host { singleRangeHosts.insert(host) }
    }

    // MARK: - Demand

    /// Takes the demand of a reader that is blocked on `extents`. The action that completes it comes with this event or
    /// a later one.
    public mutating func demand(
        _ demand: DemandID, layer id: LayerID, extents requested: Range<Int>, now: MonotonicTime
    ) -> [PlannerAction] {
        statistics.demands += 1
        if let stoppedReason {
            actions.append(.complete(demand, .failed(reason: stoppedReason)))
            return finish(now)
        }
        guard let extents = layers[id]?.clamped(requested), extents == requested, demands[demand] == nil else {
            actions.append(.complete(demand, .failed(reason: "not an extent of a layer that is attached")))
            return finish(now)
        }
        var missing = 0
        for extent in extents where layers[id]?.map.isPresent(extent) == false {
            missing += 1
            if layers[id]?.marks[extent].contains(.predicted) == false {
                layers[id]?.accuracy.recordMiss()
                layers[id]?.knownStart.recordSurprise()
            }
            add(demand, to: ExtentKey(layer: id, extent: extent))
        }
        noteAccess(to: id, extents: extents, isLocal: missing == 0, now: now)
        guard missing > 0 else {
            statistics.demandsAlreadyLocal += 1
            actions.append(.complete(demand, .available))
            return finish(now)
        }
        demands[demand] = Demand(layer: id, extents: extents, missing: missing, since: now)
        deadlines.append(DemandDeadline(demand: demand, time: now.advanced(by: demandTimeout(id, now))))
        return finish(now)
    }

    /// Cancels a demand. Its extents in flight still arrive.
    public mutating func cancel(_ demand: DemandID, now: MonotonicTime) -> [PlannerAction] {
        end(demand, with: .cancelled, now: now)
        return finish(now)
    }

    /// Records that the store served `extents` to a reader.
    public mutating func noteRead(_ id: LayerID, extents: Range<Int>, now: MonotonicTime) -> [PlannerAction] {
        guard stoppedReason == nil, let extents = layers[id]?.clamped(extents), !extents.isEmpty else { return [] }
        noteAccess(to: id, extents: extents, isLocal: true, now: now)
        lastRead = now
        return finish(now)
    }

    /// Records that a delivery other than a request served a reader that had waited since `since`.
    public mutating func noteDelivered(_ id: LayerID, since: MonotonicTime, now: MonotonicTime) {
        let waited = now.since(since)
        statistics.demands += 1
        statistics.stalled &+= waited
        statistics.stalls.add(waited)
        layers[id]?.statistics.add(stall: waited)
        lastDemand = now
    }

    // MARK: - State

    /// The latest estimate of the link: bytes a second, and nanoseconds from a request to its answer; 0 before the
    /// first measurement.
    public var link: (bytesPerSecond: Double, delay: Double) { (linkEstimate.rate, linkEstimate.delay) }

    /// The queued entries of each class.
    public var queued: PerClass<Int> {
        PerClass(
            demand: demandQueue.count, hint: hintQueue.count, readahead: readaheadQueue.count, fill: fillQueue.count)
    }

    /// The number of requests that pause for readers now.
    public var pausedRequests: Int { requests.values.count { $0.pausedSince != nil } }

    /// Returns the layer's statistics.
    public func statistics(of id: LayerID) -> LayerStatistics { layers[id]?.statistics ?? LayerStatistics() }

    // MARK: - Time

    /// Applies the passing of time, at ``wakeTime`` or later.
    public mutating func tick(now: MonotonicTime) -> [PlannerAction] {
        finish(now)
    }

    /// Ends an event: decides what to start, and returns the actions.
    mutating func finish(_ now: MonotonicTime) -> [PlannerAction] {
        wakeTime = nil
        expireDemands(now)
        if stoppedReason == nil { pump(now) }
        resumePaused(now)
        defer { actions = [] }
        return actions
    }

    /// Asks for a tick at `time` or earlier.
    mutating func wake(at time: MonotonicTime) {
        wakeTime = wakeTime.map { min($0, time) } ?? time
    }
}
