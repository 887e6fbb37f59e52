public import Base

/// The functions of fill, which fetches the rest of the layers when readers leave the link idle.
extension Planner {
    /// The maximum number of extents that ``isSoonComplete(_:)`` examines.
    private static let extentsExamined = 100_000

    /// Queues the layers `ids` of one image for fill, after the layers of earlier calls. If the image lacks only a few
    /// bytes, its fill is eager: it does not yield to readers. ``PlannerConfiguration/eagerSmallest`` and
    /// ``PlannerConfiguration/eagerSeconds`` define how many bytes are few.
    public mutating func fill(_ ids: [LayerID], now: MonotonicTime) -> [PlannerAction] {
        guard stoppedReason == nil else { return [] }
        let isEager = isSoonComplete(ids)
        for id in ids where layers[id] != nil && !fillQueue.contains(where: { $0.layer == id }) {
            fillQueue.append(
                FillEntry(
                    layer: id, isEager: isEager, since: now, delayedUntil: now.advanced(by: times.fillDelay)))
        }
        return finish(now)
    }

    /// Stops background fill if `isAllowed` is false, or allows it again if `isAllowed` is true. Requests that are in
    /// flight continue. When fill is allowed again, it continues where it stopped.
    public mutating func allowFill(_ isAllowed: Bool, now: MonotonicTime) -> [PlannerAction] {
        isFillAllowed = isAllowed
        return finish(now)
    }

    /// Returns true while the layer is queued for fill.
    public func isFilling(_ id: LayerID) -> Bool {
        fillQueue.contains { $0.layer == id }
    }

    /// Returns true if the layers `ids` lack so few bytes that fill need not yield to readers.
    /// ``PlannerConfiguration/eagerSmallest`` and ``PlannerConfiguration/eagerSeconds`` define the rules. Returns false
    /// if the layers have more than ``extentsExamined`` extents to examine.
    private func isSoonComplete(_ ids: [LayerID]) -> Bool {
        let carried = UInt64(
            min(linkEstimate.highestRate * configuration.eagerSeconds, Double(configuration.eagerLargest)))
        let hinted = ids.reduce(0) { $0 &+ (layers[$1]?.hintedBytes ?? 0) }
        let most = max(configuration.eagerSmallest, carried, min(hinted &* 2, configuration.eagerLargest))
        var missing: UInt64 = 0
        var examined = 0
        for layer in ids.compactMap({ layers[$0] }) {
            for extent in layer.marks.indices {
                examined += 1
                // The search is bounded: an image can have millions of extents, and readers wait for the lock.
                guard examined <= Self.extentsExamined else { return false }
                guard !layer.map.isPresent(extent) else { continue }
                missing &+= layer.map.blobRange(of: extent).count
                if missing > most { return false }
            }
        }
        return true
    }

    // MARK: - Requests

    /// Starts fill requests, as many as the limits allow. Starts none while any hint is queued, or any request for
    /// hints or read-ahead is running.
    mutating func startFill(_ now: MonotonicTime) {
        guard isFillAllowed, !fillQueue.isEmpty, hasRoom(.fill, now) else { return }
        guard running.hint == 0, hintQueue.isEmpty, running.readahead == 0 else { return }
        fillNearby(now)
        let mustYield = mustFillYield(now)
        guard !mustYield || fillQueue.contains(where: \.isEager) else { return }
        let lastServed = [lastDemand, lastRead].compactMap { $0 }.max()
        var index = 0
        while index < fillQueue.count, hasRoom(.fill, now), mayFillTake(now) {
            let entry = fillQueue[index]
            // An eager entry, too, waits while hints cover its layer: a startup pack may be bringing the same bytes.
            let earliest =
                entry.isEager
                ? max(entry.notBefore, layers[entry.layer]?.hintedUntil ?? now) : entry.earliest(lastServed)
            guard entry.isEager || !mustYield, mayFetch(entry.layer, notBefore: earliest, at: now) else {
                index += 1
                continue
            }
            guard let count = layers[entry.layer]?.marks.count, let run = fillRun(of: entry, now) else {
                fillQueue.remove(at: index)
                continue
            }
            if let last = run.segments.last {
                fillQueue[index].cursor = last.upperBound
                start(run, of: entry.layer, as: .fill, attempts: entry.failures, now: now)
            } else if entry.hasHoles {
                // Go through the layer again. If a request that is in flight now fails, it sets `hasHoles` again.
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

    /// Returns the next run of open extents (see ``LayerState/isOpen(_:)``) in the entry's layer. The run is empty if
    /// there are no such extents, and `nil` if the layer is detached. Earlier requests fetched extents all over the
    /// blob, so the run may have many ranges.
    private func fillRun(of entry: FillEntry, _ now: MonotonicTime) -> ExtentRun? {
        guard let layer = layers[entry.layer] else { return nil }
        let (gap, ranges) = rangesApart(for: layer.host)
        return layer.backgroundRun(
            in: entry.cursor..<layer.marks.count, limit: fillLimit(now), gap: gap, ranges: ranges)
    }

    /// Returns true if fill must yield to readers, because a reader waits or was served a short time ago. If no reader
    /// waits, also asks for a ``tick(now:)`` at the time when fill may continue. Fill yields even to cache hits of a
    /// starting container, because decoding would compete with the container for CPU.
    private mutating func mustFillYield(_ now: MonotonicTime) -> Bool {
        if hasDemand { return true }
        var quietAt = lastDemand?.advanced(by: times.fillQuiet) ?? now
        if let lastRead, let newest = fillQueue.last?.since {
            let startsUntil = newest.advanced(by: times.startQuiet)
            quietAt = max(quietAt, min(lastRead.advanced(by: times.fillQuietAfterRead), startsUntil))
        }
        guard now < quietAt else { return false }
        wake(at: quietAt)
        return true
    }

    /// Returns true if the rate limit ``PlannerConfiguration/fillBytesPerSecond`` allows another fill request now.
    /// Otherwise asks for a ``tick(now:)`` at the time when the limit allows one.
    mutating func mayFillTake(_ now: MonotonicTime) -> Bool {
        guard let rate = configuration.fillBytesPerSecond, rate > 0 else { return true }
        if let at = fillTokensAt {
            let earned = Double(now.since(at)) / 1e9 * Double(rate)
            fillTokens = min(fillTokens + earned, Double(configuration.runLimit.fill))
        }
        fillTokensAt = now
        guard fillTokens <= 0 else { return true }
        // Add a millisecond, so that rounding does not cause an early wake-up.
        wake(at: now.advanced(by: UInt64(-fillTokens / Double(rate) * 1e9) &+ 1_000_000))
        return false
    }

    /// Makes fill go through the layer again. Call this when extents did not arrive or could not be stored, because
    /// fill may have passed them as in flight.
    mutating func markHoles(_ id: LayerID) {
        guard let index = fillQueue.firstIndex(where: { $0.layer == id }) else { return }
        fillQueue[index].hasHoles = true
    }

    /// Returns the maximum size of one fill request in bytes. While a container starts, this is the number of bytes
    /// that the link carries in a tenth of a second, but at least 512 KiB. A larger request would delay readers longer,
    /// because a demand does not abort a running request.
    func fillLimit(_ now: MonotonicTime) -> UInt64 {
        let limit = configuration.runLimit.fill
        guard isStarting(now), linkEstimate.highestRate > 0, linkEstimate.highestRate < Double(limit) * 10 else {
            return limit
        }
        return max(min(limit, 512 << 10), UInt64(linkEstimate.highestRate / 10))
    }

    /// Returns true if a container is probably starting: within the last ``PlannerConfiguration/startQuiet``, a demand
    /// has ended or a startup pack has made progress.
    public func isStarting(_ now: MonotonicTime) -> Bool {
        lastDemand.map { now.since($0) < times.startQuiet } ?? false
    }

    // MARK: - Pausing

    /// Returns true if `request` is a fill request that must pause for readers. Fill of a layer that does not yield to
    /// readers never pauses, and neither does nearby fill. A request that a long pause has starved does not pause until
    /// it has fetched ``PlannerConfiguration/fillTrickle`` bytes.
    mutating func mustPause(_ request: Request, _ now: MonotonicTime) -> Bool {
        guard request.fetchClass == .fill, request.mayPause, request.trickle == 0 else { return false }
        return !fillQueue.contains { $0.layer == request.layer && $0.isEager } && mustFillYield(now)
    }

    /// Resumes the paused requests that no longer need to pause. Also resumes those that have paused for
    /// ``PlannerConfiguration/fillStarvation``, and lets each fetch ``PlannerConfiguration/fillTrickle`` bytes.
    mutating func resumePaused(_ now: MonotonicTime) {
        guard requests.contains(where: { $0.value.pausedSince != nil }) else { return }
        for request in requests.values.sorted(by: { $0.id.value < $1.id.value }) {
            guard let since = request.pausedSince else { continue }
            let starvedAt = since.advanced(by: times.fillStarvation)
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

    // MARK: - Nearby

    /// Starts small fill requests around the latest reads; see ``NearbyFill``. Each request is so small that it delays
    /// a reader by at most a round trip. On a link with round trips shorter than
    /// ``PlannerConfiguration/nearbyFillDelay``, the function does nothing, because a reader's own request is just as
    /// fast there.
    private mutating func fillNearby(_ now: MonotonicTime) {
        guard configuration.nearbyFillDistance > 0, let lastDemand, !hasDemand, nearbyFill.latest != nil,
            !fillQueue.isEmpty, hasRoom(.fill, now), isStarting(now),
            linkEstimate.shortestDelay >= times.nearbyFillDelay
        else { return }
        let quietAt = lastDemand.advanced(by: times.nearbyFillQuiet)
        guard now >= quietAt else {
            wake(at: quietAt)
            return
        }
        while hasRoom(.fill, now), mayFillTake(now), let place = nearbyFill.latest {
            guard let quietUntil = layers[place.layer]?.hintedUntil, now >= quietUntil,
                knownStart(of: place.layer, now: now) == nil,
                let entry = fillQueue.first(where: { $0.layer == place.layer }),
                mayFetch(place.layer, notBefore: entry.notBefore, at: now), let run = run(around: place)
            else {
                nearbyFill.removeLatest()
                continue
            }
            start(run, of: place.layer, as: .fill, attempts: entry.failures, mayPause: false, now: now)
        }
    }

    /// Returns a run of open extents (see ``LayerState/isOpen(_:)``) around `place` for nearby fill; `nil` if there are
    /// none.
    private func run(around place: ExtentKey) -> ExtentRun? {
        guard let layer = layers[place.layer] else { return nil }
        let (gap, ranges) = rangesApart(for: layer.host)
        let run = layer.run(
            around: place.extent, within: configuration.nearbyFillDistance, limit: linkEstimate.bytesInRoundTrip,
            gap: gap, ranges: ranges)
        return run.isEmpty ? nil : run
    }
}
