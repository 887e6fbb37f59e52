import Base

/// What to start now.
extension Planner {
    /// Whether a reader waits.
    var hasDemand: Bool { !demands.isEmpty }

    /// Starts what may start, most urgent first.
    mutating func pump(_ now: MonotonicTime) {
        releaseRetries(now)
        startDemands(now)
        startProfile(now)
        startReadahead(now)
        startFill(now)
    }

    // MARK: - Demand

    private mutating func releaseRetries(_ now: MonotonicTime) {
        guard !retries.isEmpty else { return }
        for retry in retries where retry.time <= now && wants[retry.key]?.phase == .paused { enqueue(retry.key) }
        retries.removeAll { $0.time <= now || wants[$0.key]?.phase != .paused }
        for retry in retries { wake(at: retry.time) }
    }

    private mutating func startDemands(_ now: MonotonicTime) {
        while let key = demandQueue.first {
            guard wants[key]?.phase == .queued, layers[key.layer]?.marks[key.extent].contains(.wanted) == true else {
                _ = demandQueue.popFirst()
                continue
            }
            guard hasRoom(.demand, now) else { return }
            _ = demandQueue.popFirst()
            guard layers[key.layer]?.map.isPresent(key.extent) == false else {
                satisfy(key, now)
                continue
            }
            if layers[key.layer]?.neighbourhood == nil {
                layers[key.layer]?.neighbourhood = ReadAround(after: neighbourhood, pace)
            }
            guard
                let (run, neighbours) = layers[key.layer]?.demandRun(
                    from: key.extent, configuration, spare: spareBytes, now: now)
            else { continue }
            note(neighbours, in: key.layer, besides: run, now)
            start(run, key.layer, .demand, attempts: wants[key]?.attempts ?? 0, now)
        }
    }

    /// The request for `run` takes neighbours along, or could have.
    private mutating func note(_ neighbours: [Int], in id: LayerID, besides run: Run, _ now: MonotonicTime) {
        layers[id]?.mark(neighbours, [.speculative, .neighbour])
        statistics.speculated += UInt64(neighbours.count)
        guard let layer = layers[id], now >= layer.profiledUntil,
            !neighbours.isEmpty || spareBytes > 0 && run.byteCount < configuration.neighbourhood.smallDemand
        else { return }
        let bytes = neighbours.reduce(0) { $0 &+ layer.map.blobRange(of: $1).count }
        layers[id]?.neighbourhood?.requested(with: bytes, pace)
        neighbourhood.requested(with: bytes, pace)
    }

    // MARK: - Readahead

    private mutating func startReadahead(_ now: MonotonicTime) {
        var index = 0
        while index < readaheadQueue.count, hasRoom(.readahead, now) {
            let entry = readaheadQueue[index]
            guard mayFetch(entry.layer, notBefore: entry.notBefore, now) else {
                index += 1
                continue
            }
            readaheadQueue[index].extents = advance(entry, now)
            if readaheadQueue[index].extents.isEmpty { readaheadQueue.remove(at: index) }
        }
    }

    /// Starts one run of the entry, if anything of it is open; gives what is left of it.
    private mutating func advance(_ entry: BackgroundEntry, _ now: MonotonicTime) -> Range<Int> {
        let end = entry.extents.upperBound
        guard
            let run = layers[entry.layer]?.backgroundRun(
                in: entry.extents, limit: configuration.runLimit.readahead, gap: configuration.mergeGap),
            let last = run.segments.last
        else {
            unplan(entry)
            return end..<end
        }
        unplan(BackgroundEntry(layer: entry.layer, extents: entry.extents.lowerBound..<last.upperBound))
        layers[entry.layer]?.mark(run.segments.joined(), .speculative)
        statistics.speculated += UInt64(run.segments.reduce(0) { $0 + $1.count })
        start(run, entry.layer, .readahead, attempts: entry.attempts, now)
        return last.upperBound..<end
    }

    // MARK: - Fill

    private mutating func startFill(_ now: MonotonicTime) {
        guard !fillQueue.isEmpty, hasRoom(.fill, now) else { return }
        guard running.profile == 0, profileQueue.isEmpty, running.readahead == 0 else { return }
        fillSurroundings(now)
        let mustYield = mustFillYield(now)
        guard !mustYield || fillQueue.contains(where: \.isEager) else { return }
        let lastServed = [lastDemand, lastRead].compactMap { $0 }.max()
        var index = 0
        while index < fillQueue.count, hasRoom(.fill, now), mayFillTake(now) {
            let entry = fillQueue[index]
            // What comes by another way, such as a startup pack, is not asked for beside it.
            let earliest =
                entry.isEager
                ? max(entry.notBefore, layers[entry.layer]?.profiledUntil ?? now) : entry.earliest(lastServed)
            guard entry.isEager || !mustYield, mayFetch(entry.layer, notBefore: earliest, now) else {
                index += 1
                continue
            }
            guard let count = layers[entry.layer]?.marks.count, let run = fillRun(of: entry, now) else {
                fillQueue.remove(at: index)
                continue
            }
            if let last = run.segments.last {
                fillQueue[index].cursor = last.upperBound
                start(run, entry.layer, .fill, attempts: entry.failures, now)
            } else if entry.hasHoles {
                // Once more over the layer; what is in flight now comes back as a hole if it fails.
                fillQueue[index].cursor = 0
                fillQueue[index].hasHoles = false
            } else if layers[entry.layer]?.inFlight != 0 {
                fillQueue[index].cursor = count
                index += 1
            } else {
                fillQueue.remove(at: index)
            }
        }
    }

    /// The next request for what is missing of a layer. What came before was not in the order of the blob, and has left
    /// holes everywhere.
    private func fillRun(of entry: FillEntry, _ now: MonotonicTime) -> Run? {
        guard let layer = layers[entry.layer] else { return nil }
        let (gap, ranges) = rangesApart(for: layer.host)
        return layer.backgroundRun(
            in: entry.cursor..<layer.marks.count, limit: fillLimit(now), gap: gap, ranges: ranges)
    }

    /// Whether readers have the link: now, or until a moment ago. While a container starts that finds what it reads here, it has
    /// the processors: decoding takes them away from it.
    private mutating func mustFillYield(_ now: MonotonicTime) -> Bool {
        if hasDemand { return true }
        var quietAt = lastDemand?.advanced(by: configuration.fillQuiet) ?? now
        if let lastRead, let newest = fillQueue.last?.since {
            let startsUntil = newest.advanced(by: configuration.startQuiet)
            quietAt = max(quietAt, min(lastRead.advanced(by: configuration.fillQuietAfterRead), startsUntil))
        }
        guard now < quietAt else { return false }
        wake(at: quietAt)
        return true
    }

    /// Whether the ceiling in bytes a second leaves room.
    mutating func mayFillTake(_ now: MonotonicTime) -> Bool {
        guard let rate = configuration.fillBytesPerSecond, rate > 0 else { return true }
        if let at = fillTokensAt {
            let earned = Double(now.since(at)) / 1e9 * Double(rate)
            fillTokens = min(fillTokens + earned, Double(configuration.runLimit.fill))
        }
        fillTokensAt = now
        guard fillTokens <= 0 else { return true }
        // One more than it takes, so that rounding does not wake us too early again and again.
        wake(at: now.advanced(by: UInt64(-fillTokens / Double(rate) * 1e9) &+ 1_000_000))
        return false
    }

    /// Fill goes over the layer again.
    mutating func markHoles(_ id: LayerID) {
        guard let index = fillQueue.firstIndex(where: { $0.layer == id }) else { return }
        fillQueue[index].hasHoles = true
    }

    /// Whether fill that is under way has to stop reading.
    mutating func mustPause(_ request: Request, _ now: MonotonicTime) -> Bool {
        guard request.fetchClass == .fill, request.mayPause, request.trickle == 0 else { return false }
        return !fillQueue.contains { $0.layer == request.layer && $0.isEager } && mustFillYield(now)
    }

    /// Lets paused requests go on whose reason is gone, or that have starved.
    mutating func resumePaused(_ now: MonotonicTime) {
        guard requests.contains(where: { $0.value.pausedSince != nil }) else { return }
        for request in requests.values.sorted(by: { $0.id.value < $1.id.value }) {
            guard let since = request.pausedSince else { continue }
            let starvedAt = since.advanced(by: configuration.fillStarvation)
            let isGone = layers[request.layer] == nil || stoppedReason != nil
            if isGone || !mustPause(request, now) {
                requests[request.id]?.pausedSince = nil
            } else if starvedAt <= now {
                requests[request.id]?.pausedSince = nil
                requests[request.id]?.trickle = configuration.fillTrickle
            } else {
                wake(at: starvedAt)
                continue
            }
            actions.append(.resume(request.id))
        }
    }

    // MARK: - Common

    /// Whether the class may have one more request under way; see ``BackgroundThrottle``. What the link carries anyway does not count.
    func hasRoom(_ fetchClass: FetchClass, _ now: MonotonicTime) -> Bool {
        guard running[fetchClass] > 0 else { return true }
        let share = fetchClass < .readahead ? 1 : backOffs.values.reduce(1) { min($0, $1.share(now)) }
        let requests = max(1, Int(Double(configuration.requestLimit[fetchClass]) * share))
        let bytes = UInt64(Double(configuration.byteLimit[fetchClass]) * share)
        return running[fetchClass] < requests
            && runningBytes[fetchClass]
                < min(configuration.byteLimit[fetchClass], max(bytes, 2 * pace.bytesInRoundTrip))
    }

    /// Bytes that come along with a demand and cost nobody time: what the link carries until the reader can have asked for
    /// something else, if nothing else is asked for.
    private var spareBytes: UInt64 {
        let room = min(pace.bytesInRoundTrip, configuration.neighbourhood.largest)
        let coming = requests.values.reduce(0) { $0 &+ $1.bytesLeft }
        return room > coming ? room - coming : 0
    }

    /// How a request names what lies apart: the most bytes between two extents that are fetched along, and how many ranges
    /// it has at the most.
    func rangesApart(for host: String) -> (gap: UInt64, ranges: Int) {
        singleRangeHosts.contains(host)
            ? (configuration.gapAlone, 1) : (configuration.mergeGap, Self.maximumRanges)
    }

    /// Whether a background class may ask for bytes of this layer now.
    mutating func mayFetch(_ id: LayerID, notBefore: MonotonicTime, _ now: MonotonicTime) -> Bool {
        var earliest = max(notBefore, backgroundPausedUntil)
        if let host = layers[id]?.host, let until = throttledHosts[host] {
            if until <= now { throttledHosts[host] = nil }
            earliest = max(earliest, until)
        }
        guard earliest > now else { return true }
        wake(at: earliest)
        return false
    }

    mutating func start(
        _ run: Run, _ layer: LayerID, _ fetchClass: FetchClass, attempts: Int, isPredicted: Bool = false,
        mayPause: Bool = true, _ now: MonotonicTime
    ) {
        lastRequest += 1
        let id = RequestID(value: lastRequest)
        for extent in layers[layer]?.begin(run) ?? [] {
            wants[ExtentKey(layer: layer, extent: extent)]?.phase = .inFlight
        }
        let bytes = run.byteCount
        requests[id] = Request(
            id: id, layer: layer, startedAs: fetchClass, fetchClass: fetchClass, rest: run.segments, bytes: bytes,
            bytesLeft: bytes, startedAt: now, attempts: attempts, isPredicted: isPredicted,
            mayPause: mayPause)
        if fetchClass == .fill, configuration.fillBytesPerSecond != nil { fillTokens -= Double(bytes) }
        running[fetchClass] += 1
        runningBytes[fetchClass] += bytes
        statistics.requests[fetchClass] += 1
        statistics.bytes[fetchClass] += bytes
        layers[layer]?.statistics.requests[fetchClass] += 1
        layers[layer]?.statistics.bytes[fetchClass] += bytes
        actions.append(
            .start(FetchRequest(id: id, layer: layer, fetchClass: fetchClass, ranges: run.ranges, attempt: attempts)))
    }
}
