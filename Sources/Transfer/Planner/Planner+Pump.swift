import Base

/// The functions that start requests, by class.
extension Planner {
    /// True if a reader waits.
    var hasDemand: Bool { !demands.isEmpty }

    /// Starts all requests that the limits allow, most urgent class first.
    mutating func pump(_ now: MonotonicTime) {
        releaseRetries(now)
        startDemands(now)
        startHints(now)
        startReadahead(now)
        startFill(now)
    }

    // MARK: - Demand

    private mutating func releaseRetries(_ now: MonotonicTime) {
        guard !retries.isEmpty else { return }
        for retry in retries where retry.time <= now && awaited[retry.key]?.phase == .paused { enqueue(retry.key) }
        retries.removeAll { $0.time <= now || awaited[$0.key]?.phase != .paused }
        for retry in retries { wake(at: retry.time) }
    }

    private mutating func startDemands(_ now: MonotonicTime) {
        while let key = demandQueue.first {
            guard awaited[key]?.phase == .queued, layers[key.layer]?.marks[key.extent].contains(.demanded) == true
            else {
                _ = demandQueue.popFirst()
                continue
            }
            guard hasRoom(.demand, now) else { return }
            _ = demandQueue.popFirst()
            guard layers[key.layer]?.map.isPresent(key.extent) == false else {
                satisfy(key, now)
                continue
            }
            if layers[key.layer]?.readAround == nil {
                layers[key.layer]?.readAround = ReadAround(after: readAround, linkEstimate)
            }
            guard
                let (run, neighbors) = layers[key.layer]?.demandRun(
                    from: key.extent, configuration, spare: spareBytes, now: now)
            else { continue }
            note(neighbors, in: key.layer, besides: run, at: now)
            start(run, of: key.layer, as: .demand, attempts: awaited[key]?.attempts ?? 0, now: now)
        }
    }

    /// Marks and counts `neighbors`, the neighbors in the request for `run`. Also reports the request to
    /// ``ReadAround``, unless hints cover the layer's reads at the time `now`. A request without neighbors is reported
    /// only if it could have had some: its demand is small and the link had room.
    private mutating func note(
        _ neighbors: [Int], in id: LayerID, besides run: ExtentRun, at now: MonotonicTime
    ) {
        layers[id]?.mark(neighbors, [.speculative, .neighbor])
        statistics.speculative += UInt64(neighbors.count)
        guard let layer = layers[id], now >= layer.hintedUntil,
            !neighbors.isEmpty || spareBytes > 0 && run.byteCount < configuration.readAround.smallDemand
        else { return }
        let bytes = neighbors.reduce(0) { $0 &+ layer.map.blobRange(of: $1).count }
        layers[id]?.readAround?.requested(with: bytes, linkEstimate)
        readAround.requested(with: bytes, linkEstimate)
    }

    // MARK: - Read-ahead

    private mutating func startReadahead(_ now: MonotonicTime) {
        var index = 0
        while index < readaheadQueue.count, hasRoom(.readahead, now) {
            let entry = readaheadQueue[index]
            guard mayFetch(entry.layer, notBefore: entry.notBefore, at: now) else {
                index += 1
                continue
            }
            readaheadQueue[index].extents = startRun(of: entry, now)
            if readaheadQueue[index].extents.isEmpty { readaheadQueue.remove(at: index) }
        }
    }

    /// Starts one request for the first open extents of the entry (see ``LayerState/isOpen(_:)``), if the entry has
    /// any.
    ///
    /// - Returns: the rest of the entry, the extents after the last requested one. The rest is empty if the entry has
    ///   no open extent, or if the request includes its last extent.
    private mutating func startRun(of entry: BackgroundEntry, _ now: MonotonicTime) -> Range<Int> {
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
        statistics.speculative += UInt64(run.segments.reduce(0) { $0 + $1.count })
        start(run, of: entry.layer, as: .readahead, attempts: entry.attempts, now: now)
        return last.upperBound..<end
    }

    // MARK: - All classes

    /// Returns true if the class may start one more request at the time `now`. A class without a running request always
    /// may.
    ///
    /// Even if ``BackgroundThrottle`` limits the class, the class may have as many bytes in flight as the link carries
    /// in two round trips. The class's own ``PlannerConfiguration/byteLimit`` still applies.
    func hasRoom(_ fetchClass: FetchClass, _ now: MonotonicTime) -> Bool {
        guard running[fetchClass] > 0 else { return true }
        let share = fetchClass < .readahead ? 1 : throttles.values.reduce(1) { min($0, $1.share(now)) }
        let requests = max(1, Int(Double(configuration.requestLimit[fetchClass]) * share))
        let bytes = UInt64(Double(configuration.byteLimit[fetchClass]) * share)
        return running[fetchClass] < requests
            && runningBytes[fetchClass]
                < min(configuration.byteLimit[fetchClass], max(bytes, 2 * linkEstimate.bytesInRoundTrip))
    }

    /// The number of neighbor bytes (see ``ReadAround``) that a demand may add without delaying another reader. This is
    /// the number of bytes that the link carries in one round trip, but at most ``ReadAroundLimits/largest``, minus all
    /// bytes in flight.
    private var spareBytes: UInt64 {
        let room = min(linkEstimate.bytesInRoundTrip, configuration.readAround.largest)
        let coming = requests.values.reduce(0) { $0 &+ $1.bytesLeft }
        return room > coming ? room - coming : 0
    }

    /// Returns two limits for requests to `host`: the largest distance between two extents of one range, in bytes, and
    /// the maximum number of ranges in one request.
    func rangesApart(for host: String) -> (gap: UInt64, ranges: Int) {
        singleRangeHosts.contains(host)
            ? (configuration.singleRangeGap, 1) : (configuration.mergeGap, Self.maximumRanges)
    }

    /// Returns true if a background class (any but demand) may request bytes of this layer now. Otherwise asks for a
    /// ``tick(now:)`` at the earliest possible time.
    ///
    /// - Parameter notBefore: the earliest time at which the caller's queue entry may be requested.
    mutating func mayFetch(_ id: LayerID, notBefore: MonotonicTime, at now: MonotonicTime) -> Bool {
        var earliest = max(notBefore, backgroundPausedUntil)
        if let host = layers[id]?.host, let until = throttledHosts[host] {
            if until <= now { throttledHosts[host] = nil }
            earliest = max(earliest, until)
        }
        guard earliest > now else { return true }
        wake(at: earliest)
        return false
    }

    /// Starts a request for `run`. Marks its extents as in flight, and counts the request in `fetchClass`.
    ///
    /// - Parameters:
    ///   - attempts: the number of earlier failed requests; see ``FetchRequest/attempt``.
    ///   - source: the source of the hint that names the extents; `nil` for other classes.
    ///   - mayPause: false for nearby fill, which does not pause for readers.
    mutating func start(
        _ run: ExtentRun, of layer: LayerID, as fetchClass: FetchClass, attempts: Int, source: HintSource? = nil,
        mayPause: Bool = true, now: MonotonicTime
    ) {
        lastRequest += 1
        let id = RequestID(value: lastRequest)
        for extent in layers[layer]?.begin(run) ?? [] {
            awaited[ExtentKey(layer: layer, extent: extent)]?.phase = .inFlight
        }
        let bytes = run.byteCount
        requests[id] = Request(
            id: id, layer: layer, startedAs: fetchClass, fetchClass: fetchClass, rest: run.segments, bytes: bytes,
            bytesLeft: bytes, startedAt: now, attempts: attempts, source: source, mayPause: mayPause)
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
