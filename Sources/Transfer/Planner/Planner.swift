public import Base
public import ContentStore

/// The one place that decides what to fetch, when, and in which requests.
///
/// The planner is a pure value: it takes events with their time, and returns actions. The caller guards the planner
/// with a lock. For each event, the caller takes the lock, passes the event to the planner, releases the lock, and then
/// performs the actions. So tests can check every decision in virtual time.
///
/// All decisions are about extents, the smallest decodable pieces of a blob. An extent is idle, demanded (a reader
/// waits for it, but no request has it), in flight (in a request or in decoding), or present. An extent is never in two
/// requests. ``FetchClass`` defines the priorities.
///
/// - A *demand* is a reader's request for extents. Requests for demands start at once, within limits that no other
///   class shares.
/// - A demand for an extent in flight joins the extent's request, and the planner promotes this request to class
///   demand. If the extent is far behind in the request, the planner ends the request before the extent and requests
///   the extent separately.
/// - The planner retries a failed request after a growing pause. If that does not help, it begins a recovery of the
///   layer (``PlannerAction/recover(_:reason:)``), or fails the demand with a reason. No demand outlives
///   ``PlannerConfiguration/demandTimeout``.
/// - Fill yields to demand. Every class but demand yields to a registry that asks for fewer requests.
public struct Planner: Sendable {
    let configuration: PlannerConfiguration
    let times: PlannerTimes
    var layers: [LayerID: LayerState] = [:]
    var demands: [DemandID: Demand] = [:]
    var awaited: [ExtentKey: AwaitedExtent] = [:]
    var requests: [RequestID: Request] = [:]

    /// The queue of demanded extents that wait for a request. The planner skips those that no reader waits for anymore.
    var demandQueue = FIFO<ExtentKey>()
    /// Two queues of deadlines, each with the earliest deadline first. The second queue is for demands made during an
    /// outage of the registry, which have a shorter timeout.
    var deadlines = [FIFO<DemandDeadline>(), FIFO<DemandDeadline>()]
    /// The scheduled retries of demanded extents.
    var retries: [ExtentRetry] = []
    /// The extents that hints name, in the order in which the planner will request them.
    var hintQueue = FIFO<BackgroundEntry>()
    /// The size of the next batch of hints, in bytes.
    var hintBatch: UInt64
    /// The time of the last update of all layers by ``extendHints(_:)``.
    var hintsExtended = MonotonicTime(nanoseconds: 0)
    var linkEstimate = LinkEstimate()
    /// The read-around measured over all layers. The read-around of a new layer begins with the size of this one, or
    /// with a smaller size if the link is slow.
    var readAround: ReadAround
    /// The throttles of read-ahead and fill, one for each registry host, because the answer time depends on the host.
    /// All hosts share the link. So the throttle with the lowest share (see ``BackgroundThrottle``) limits the requests
    /// to all hosts.
    var throttles: [String: BackgroundThrottle] = [:]
    /// The hosts that answer only one range per request.
    var singleRangeHosts: Set<String> = []
    var readaheadQueue: [BackgroundEntry] = []
    var fillQueue: [FillEntry] = []
    var nearbyFill = NearbyFill()

    var running = PerClass<Int>(repeating: 0)
    var runningBytes = PerClass<UInt64>(repeating: 0)
    /// The hosts that asked for fewer requests, each with the end of its pause. Until then, the planner sends the host
    /// only demands.
    var throttledHosts: [String: MonotonicTime] = [:]
    /// The time until which all classes but demand pause after the store failed to write an extent, for example because
    /// the disk is full.
    var backgroundPausedUntil = MonotonicTime(nanoseconds: 0)
    /// The latest time at which a waiting demand ended or a startup pack made progress; `nil` before the first such
    /// event.
    var lastDemand: MonotonicTime?
    /// The time of the last read that the caller reported with ``noteRead(_:extents:now:)``; `nil` before the first.
    var lastRead: MonotonicTime?
    /// The level, in bytes, of the token bucket that limits the rate of fill, at the time `fillTokensAt`. It is
    /// negative after a request that was larger than the level.
    var fillTokens: Double
    var fillTokensAt: MonotonicTime?

    /// The totals since the planner was created.
    public internal(set) var statistics = PlannerStatistics()
    /// The time at which the caller must call ``tick(now:)`` if no other event comes first; `nil` if no tick is due.
    public internal(set) var wakeTime: MonotonicTime?

    var actions: [PlannerAction] = []
    private var lastLayer: UInt64 = 0
    var lastRequest: UInt64 = 0
    /// The reason passed to ``stop(reason:now:)``; `nil` while the planner works.
    private(set) var stoppedReason: String?
    /// True if background fill may request content. See ``allowFill(_:now:)``.
    public internal(set) var isFillAllowed = true

    public init(_ configuration: PlannerConfiguration = PlannerConfiguration()) {
        self.configuration = configuration
        times = PlannerTimes(configuration)
        fillTokens = Double(configuration.runLimit.fill)
        hintBatch = configuration.hintFirstBatch
        readAround = ReadAround(configuration.readAround)
    }

    // MARK: - Layers

    /// Adds a layer and returns its identity. `host` is the registry host of the layer's blob. If the host asks for
    /// fewer requests, all classes but demand pause for all layers of this host.
    public mutating func attach(_ map: any ExtentMap, host: String) -> LayerID {
        lastLayer += 1
        let id = LayerID(value: lastLayer)
        layers[id] = LayerState(map, host: host)
        return id
    }

    /// Removes a layer. Its demands fail, and its requests end at their next extent.
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

    /// Stops the planner. Fails every present and later demand with `reason`, and starts no new request. Running
    /// requests end at their next extent.
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

    /// Records that the layer's host answers only one range per request. Later requests to this host have one range.
    public mutating func noteSingleRanges(_ id: LayerID) {
        if let host = layers[id]?.host { singleRangeHosts.insert(host) }
    }

    // MARK: - Demand

    /// Registers a reader's demand for the extents `requested`. This call or a later one returns the ``PlannerAction``
    /// that completes the demand. The demand fails at once if the planner has stopped, or if the layer is not attached
    /// or has no such extents.
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
        let isOut = isOut(id, now)
        let timeout = isOut ? min(times.demandTimeoutInOutage, times.demandTimeout) : times.demandTimeout
        deadlines[isOut ? 1 : 0].append(DemandDeadline(demand: demand, time: now.advanced(by: timeout)))
        return finish(now)
    }

    /// Cancels a demand: completes it with the outcome `cancelled`. Extents of the demand that are in flight still
    /// arrive.
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

    /// Records that a startup pack, not a request of the planner, brought the chunks for which a reader had waited
    /// since the time `since`.
    public mutating func noteDelivered(_ id: LayerID, since: MonotonicTime, now: MonotonicTime) {
        let waited = now.since(since)
        statistics.demands += 1
        statistics.stalled &+= waited
        statistics.stalls.add(waited)
        layers[id]?.statistics.add(stall: waited)
        lastDemand = now
    }

    // MARK: - State

    /// The latest estimate of the link: its rate in bytes per second, and the nanoseconds from a request to its answer.
    /// Each is 0 before its first measurement.
    public var link: (bytesPerSecond: Double, delay: Double) { (linkEstimate.rate, linkEstimate.delay) }

    /// The number of queued entries of each class. For demand, an entry is an extent; for hints and read-ahead, a range
    /// of extents; for fill, a layer.
    public var queued: PerClass<Int> {
        PerClass(
            demand: demandQueue.count, hint: hintQueue.count, readahead: readaheadQueue.count, fill: fillQueue.count)
    }

    /// The number of fill requests that the planner has paused for readers.
    public var pausedRequests: Int { requests.values.count { $0.pausedSince != nil } }

    /// Returns the layer's statistics; all zero if the planner does not know the layer.
    public func statistics(of id: LayerID) -> LayerStatistics { layers[id]?.statistics ?? LayerStatistics() }

    // MARK: - Time

    /// Handles the passing of time. The caller calls this at ``wakeTime`` or later.
    public mutating func tick(now: MonotonicTime) -> [PlannerAction] {
        finish(now)
    }

    /// Completes the handling of an event: expires demands, starts and resumes requests, and returns the actions.
    mutating func finish(_ now: MonotonicTime) -> [PlannerAction] {
        wakeTime = nil
        expireDemands(now)
        if stoppedReason == nil { pump(now) }
        resumePaused(now)
        defer { actions = [] }
        return actions
    }

    /// Asks the caller to call ``tick(now:)`` at `time` or earlier.
    mutating func wake(at time: MonotonicTime) {
        wakeTime = wakeTime.map { min($0, time) } ?? time
    }
}
