public import Base
public import ContentStore

/// Decides what is fetched, when, and in which requests: the one place where it is decided.
///
/// A pure value: events come in with the time, actions go out, nothing is done here. The caller holds it behind a lock,
/// applies an event, lets go of the lock and carries the actions out. That makes every decision testable in virtual time.
///
/// The unit is the extent. An extent is idle, wanted (a demand waits for it to be requested), in flight (in a request, or
/// in decoding), or present; it is never in two requests. See ``FetchClass`` for who goes first.
///
/// - Demands are started at once, within a limit of their own that no other class uses.
/// - A demand for an extent that is in flight joins it, and its request becomes demand.
/// - Whatever fails is either tried again after a pause that grows, or the demand fails with a reason; no demand lives longer
///   than ``PlannerConfiguration/demandTimeout``.
/// - Fill keeps away while there is demand and shortly after, and while the registry wants fewer requests.
public struct Planner: Sendable {
    let configuration: PlannerConfiguration
    var layers: [LayerID: LayerState] = [:]
    var demands: [DemandID: Demand] = [:]
    var wants: [ExtentKey: Want] = [:]
    var requests: [RequestID: Request] = [:]

    /// Wanted extents in the order in which they were asked for; what is no longer wanted is skipped.
    var demandQueue = FIFO<ExtentKey>()
    /// Demands in the order of their deadlines.
    var deadlines = FIFO<Deadline>()
    /// Wanted extents that wait for their next try.
    var retries: [Retry] = []
    /// What profiles want, in the order of first use.
    var profileQueue = FIFO<BackgroundEntry>()
    /// How large the next batch of a profile is.
    var profileBatch: UInt64
    /// When ``profileGoesOn(_:)`` last looked at the layers.
    var profileNoted = MonotonicTime(nanoseconds: 0)
    var pace = LinkEstimate()
    /// What the neighbours of all layers were worth of late: a layer's own begins with it.
    var neighbourhood: ReadAround
    /// By host: how long an answer takes is a matter of where it comes from.
    var backOffs: [String: BackgroundThrottle] = [:]
    /// Hosts that give one range a request.
    var singleRangeHosts: Set<String> = []
    var readaheadQueue: [BackgroundEntry] = []
    var fillQueue: [FillEntry] = []
    var surroundings = NearbyFill()

    var running = PerClass<Int>(repeating: 0)
    var runningBytes = PerClass<UInt64>(repeating: 0)
    /// Hosts that asked for fewer requests, and until when everything but demand keeps away from them.
    var throttledHosts: [String: MonotonicTime] = [:]
    /// Everything but demand waits until then (a full disk).
    var backgroundPausedUntil = MonotonicTime(nanoseconds: 0)
    /// When the last demand ended that had to wait.
    var lastDemand: MonotonicTime?
    /// When a reader was last served from the store with something it had not read before.
    var lastRead: MonotonicTime?
    /// Bytes that fill may ask for now, when it has a ceiling; below 0 when the last run was larger.
    var fillTokens: Double
    var fillTokensAt: MonotonicTime?

    /// What has happened so far.
    public internal(set) var statistics = PlannerStatistics()
    /// When ``tick(now:)`` wants to be called, if nothing else happens before.
    public internal(set) var wakeTime: MonotonicTime?

    var actions: [PlannerAction] = []
    private var lastLayer: UInt64 = 0
    var lastRequest: UInt64 = 0
    /// Why nothing is done any more, once it is so.
    private(set) var stoppedReason: String?

    public init(_ configuration: PlannerConfiguration = PlannerConfiguration()) {
        self.configuration = configuration
        fillTokens = Double(configuration.runLimit.fill)
        profileBatch = configuration.profileFirstBatch
        neighbourhood = ReadAround(configuration.neighbourhood)
    }

    // MARK: - Layers

    /// Makes a layer known. `host` is the registry that it comes from: throttling holds for all layers of one host.
    public mutating func attach(_ map: any ExtentMap, host: String) -> LayerID {
        lastLayer += 1
        let id = LayerID(value: lastLayer)
        layers[id] = LayerState(map, host: host)
        return id
    }

    /// Forgets a layer: its demands fail, its requests end at their next extent.
    public mutating func detach(_ id: LayerID, now: MonotonicTime) -> [PlannerAction] {
        guard layers[id] != nil else { return [] }
        for ticket in demands.filter({ $0.value.layer == id }).keys.sorted(by: { $0.value < $1.value }) {
            end(ticket, .failed(reason: "the layer is no longer in use"), now)
        }
        profileQueue.keep { $0.layer != id }
        readaheadQueue.removeAll { $0.layer == id }
        fillQueue.removeAll { $0.layer == id }
        surroundings.forget(id)
        layers[id] = nil
        return finish(now)
    }

    /// Fails every demand with `reason`, ends every request, and starts nothing from now on.
    public mutating func stop(reason: String, now: MonotonicTime) -> [PlannerAction] {
        stoppedReason = reason
        _ = profileQueue.removeAll()
        readaheadQueue = []
        fillQueue = []
        for ticket in demands.keys.sorted(by: { $0.value < $1.value }) {
            end(ticket, .failed(reason: reason), now)
        }
        return finish(now)
    }

    // MARK: - Demand

    /// A reader is blocked on `extents`. The action that completes the demand comes with this event or a later one.
    public mutating func demand(
        _ ticket: DemandID, layer id: LayerID, extents asked: Range<Int>, now: MonotonicTime
    ) -> [PlannerAction] {
        statistics.demands += 1
        if let stoppedReason {
            actions.append(.complete(ticket, .failed(reason: stoppedReason)))
            return finish(now)
        }
        guard let extents = layers[id]?.clamped(asked), extents == asked, demands[ticket] == nil else {
            actions.append(.complete(ticket, .failed(reason: "not an extent of a layer that is attached")))
            return finish(now)
        }
        var missing = 0
        for extent in extents where layers[id]?.map.isPresent(extent) == false {
            missing += 1
            if layers[id]?.marks[extent].contains(.predicted) == false { layers[id]?.foresight.missed() }
            want(ExtentKey(layer: id, extent: extent), ticket)
        }
        noteAccess(id, extents, isLocal: missing == 0, now)
        guard missing > 0 else {
            statistics.demandsAlreadyLocal += 1
            actions.append(.complete(ticket, .available))
            return finish(now)
        }
        demands[ticket] = Demand(layer: id, extents: extents, missing: missing, since: now)
        deadlines.append(Deadline(ticket: ticket, time: now.advanced(by: demandTimeout(id, now))))
        return finish(now)
    }

    /// The reader gave up. What is in flight for it still lands.
    public mutating func cancel(_ ticket: DemandID, now: MonotonicTime) -> [PlannerAction] {
        end(ticket, .cancelled, now)
        return finish(now)
    }

    /// A reader was served `extents` from the store.
    public mutating func noteRead(_ id: LayerID, extents: Range<Int>, now: MonotonicTime) -> [PlannerAction] {
        guard stoppedReason == nil, let extents = layers[id]?.clamped(extents), !extents.isEmpty else { return [] }
        noteAccess(id, extents, isLocal: true, now)
        lastRead = now
        return finish(now)
    }

    // MARK: - Background

    /// The most ranges that a ``FetchRequest`` has.
    public static let maximumRanges = 128

    /// `pieces` will be needed soon: fetched in the order of these calls, and within one call in the order of the pieces.
    ///
    /// - Parameter isPredicted: they are guessed from what has been read, and are not all: what lies beside the reads of their
    ///   layers may still be needed too.
    public mutating func prefetch(
        _ pieces: [(layer: LayerID, extents: Range<Int>)], isPredicted: Bool = false, now: MonotonicTime
    ) -> [PlannerAction] {
        guard stoppedReason == nil else { return [] }
        // Two pieces may lie in one extent.
        var named: [LayerID: UInt64] = [:]
        var seen: Set<ExtentKey> = []
        for (layer, extents) in pieces {
            guard let extents = layers[layer]?.clamped(extents), !extents.isEmpty else { continue }
            profileQueue.append(BackgroundEntry(layer: layer, extents: extents, isPredicted: isPredicted))
            guard !isPredicted else { continue }
            layers[layer]?.profiledUntil = now.advanced(by: configuration.profileQuiet)
            for extent in extents where seen.insert(ExtentKey(layer: layer, extent: extent)).inserted {
                named[layer, default: 0] &+= layers[layer]?.map.blobRange(of: extent).count ?? 0
            }
        }
        for (layer, bytes) in named { layers[layer]?.profileBytes = bytes }
        return finish(now)
    }

    /// What is read of these layers comes by another way now: nothing is guessed about them, and fill stands back.
    ///
    /// - Parameter isPredicted: it is not all that will be read: when it has come, guessing begins at once.
    public mutating func isForetold(_ ids: some Sequence<LayerID>, isPredicted: Bool = false, now: MonotonicTime) {
        let quiet = isPredicted ? configuration.predictedQuiet : configuration.profileQuiet
        for id in ids {
            let until = layers[id]?.profiledUntil ?? now
            layers[id]?.profiledUntil = max(until, now.advanced(by: quiet))
            if isPredicted { layers[id]?.foresight.trust() }
        }
        if !isPredicted { knowsStart(of: ids, now: now) }
        lastDemand = now
    }

    /// All that a start of these layers' image has read that was seen is coming, or here: nothing is guessed about them while it
    /// lasts; see ``PlannerConfiguration/startQuiet``.
    public mutating func knowsStart(of ids: some Sequence<LayerID>, now: MonotonicTime) {
        for id in ids { layers[id]?.foresight.know(until: now.advanced(by: configuration.startQuiet), now) }
    }

    /// Whether ``knowsStart(of:now:)`` holds for the layer, and what has been read of it has not shown otherwise.
    public func isKnown(_ id: LayerID, now: MonotonicTime) -> Bool { layers[id]?.foresight.isKnown(now) ?? false }

    /// A reader that waited since then has got what it wanted by another way.
    public mutating func wasServed(_ id: LayerID, since: MonotonicTime, now: MonotonicTime) {
        let waited = now.since(since)
        statistics.demands += 1
        statistics.stalled &+= waited
        statistics.stalls.add(waited)
        layers[id]?.statistics.add(stall: waited)
        lastDemand = now
    }

    /// The host that `id` comes from gives one range a request: no more than one is asked for from now on.
    public mutating func givesSingleRanges(_ id: LayerID) {
        if let host = layers[id]?.host { singleRangeHosts.insert(host) }
    }

    /// The layers of an image are to become local as a whole: when there is time for it, in the order of these calls, or at once
    /// when fetching all of them is no more than fetching what is needed, or takes no longer than a few round trips.
    public mutating func fill(_ ids: [LayerID], now: MonotonicTime) -> [PlannerAction] {
        guard stoppedReason == nil else { return [] }
        let isEager = isSoonHere(ids)
        for id in ids where layers[id] != nil && !fillQueue.contains(where: { $0.layer == id }) {
            fillQueue.append(
                FillEntry(
                    layer: id, isEager: isEager, since: now,
                    delayedUntil: now.advanced(by: configuration.fillDelay)))
        }
        return finish(now)
    }

    private static let extentsLookedAt = 100_000

    /// Whether everything that is missing of the layers would be here in no time, or is mostly wanted anyway.
    private func isSoonHere(_ ids: [LayerID]) -> Bool {
        let carried = UInt64(min(pace.highestRate * configuration.eagerSeconds, Double(configuration.eagerLargest)))
        let named = ids.reduce(0) { $0 &+ (layers[$1]?.profileBytes ?? 0) }
        let most = max(configuration.eagerSmallest, carried, min(named &* 2, configuration.eagerLargest))
        var missing: UInt64 = 0
        var looked = 0
        for layer in ids.compactMap({ layers[$0] }) {
            for extent in layer.marks.indices {
                looked += 1
                // No further than it takes: an image has up to millions of extents, and readers wait for the lock.
                guard looked <= Self.extentsLookedAt else { return false }
                guard !layer.map.isPresent(extent) else { continue }
                missing &+= layer.map.blobRange(of: extent).count
                if missing > most { return false }
            }
        }
        return true
    }

    /// Whether anything is left to fetch in the background for this layer.
    public func isFilling(_ id: LayerID) -> Bool {
        fillQueue.contains { $0.layer == id }
    }

    /// What happened to the layer's readers so far.
    public func statistics(of id: LayerID) -> LayerStatistics { layers[id]?.statistics ?? LayerStatistics() }

    /// The link as it was seen last: bytes a second, and nanoseconds from a request to its answer; 0 for not yet.
    public var link: (bytesPerSecond: Double, delay: Double) { (pace.rate, pace.delay) }

    /// Entries of each class that wait for their turn.
    public var queued: PerClass<Int> {
        PerClass(
            demand: demandQueue.count, profile: profileQueue.count, readahead: readaheadQueue.count,
            fill: fillQueue.count)
    }

    /// Requests that stand back for readers now.
    public var pausedRequests: Int { requests.values.count { $0.pausedSince != nil } }

    // MARK: - Time

    /// Time has passed: at ``wakeTime`` or later.
    public mutating func tick(now: MonotonicTime) -> [PlannerAction] {
        finish(now)
    }

    /// The end of every event: decide what to start, and hand out the actions.
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
