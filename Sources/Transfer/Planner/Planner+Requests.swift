public import Base

/// The functions that handle events of running requests.
extension Planner {
    /// Returns the next step of a running request. Before each call, the caller must have passed all bytes of the
    /// previous extent to decoding.
    public mutating func nextStep(of id: RequestID, now: MonotonicTime) -> RequestStep {
        guard let request = requests[id], layers[request.layer] != nil, stoppedReason == nil else { return .end }
        requests[id]?.current = nil
        note(request, now)
        if mustPause(request, now) {
            if requests[id]?.pausedSince == nil { requests[id]?.pausedSince = now }
            wake(at: now.advanced(by: times.fillStarvation))
            return .pause
        }
        guard let extent = requests[id]?.take() else { return .end }
        requests[id]?.current = extent
        let count = layers[request.layer]?.map.blobRange(of: extent).count ?? 0
        requests[id]?.bytesLeft -= min(count, request.bytesLeft)
        if request.trickle > 0 {
            requests[id]?.trickle = request.trickle > count ? request.trickle - count : 0
        }
        return .take(extent, awaited: awaited[ExtentKey(layer: request.layer, extent: extent)] != nil)
    }

    /// Records the end of a request. Extents that did not arrive may be requested again.
    ///
    /// - Parameter failure: the reason why the request failed. `nil` if it did not fail: the caller has passed all
    ///   extents from ``nextStep(of:now:)`` to decoding.
    public mutating func requestEnded(
        _ id: RequestID, failure: RequestFailure?, now: MonotonicTime
    ) -> [PlannerAction] {
        guard let request = requests.removeValue(forKey: id) else { return [] }
        running[request.fetchClass] -= 1
        runningBytes[request.fetchClass] -= request.bytes
        var undone = request.rest
        if let current = request.current { undone.insert(current..<current + 1, at: 0) }
        guard let failure else {
            if request.startedAs == .fill { noteFill(request.layer, failed: false, after: nil, at: now) }
            release(undone, of: request)
            return finish(now)
        }
        statistics.requestsFailed += 1
        var after: UInt64?
        if case .throttled(let retryAfter) = failure.kind {
            after = retryAfter
            throttle(request.layer, retryAfter: retryAfter, at: now)
        }
        for segment in undone {
            for extent in segment {
                let key = ExtentKey(layer: request.layer, extent: extent)
                layers[key.layer]?.finish(extent, arrived: false)
                guard awaited[key] != nil else { continue }
                if request.startedAs == .demand {
                    failed(key, with: failure, retryAfter: after, now: now)
                } else {
                    // The failure of a background request does not count against a reader that joined it.
                    enqueue(key)
                }
            }
        }
        if !undone.isEmpty { markHoles(request.layer) }
        switch request.startedAs {
        case .hint: retryHint(request, undone: undone, failure: failure, now: now)
        case .fill: noteFill(request.layer, failed: true, after: after, at: now)
        case .demand, .readahead: break
        }
        return finish(now)
    }

    /// Records `outcome`, the result of decoding and storing the extent number `extent` of a layer.
    public mutating func extentDone(
        _ id: LayerID, extent: Int, outcome: ExtentOutcome, now: MonotonicTime
    ) -> [PlannerAction] {
        guard layers[id]?.marks.indices.contains(extent) == true else { return [] }
        let key = ExtentKey(layer: id, extent: extent)
        layers[id]?.finish(extent, arrived: true)
        switch outcome {
        case .available:
            layers[id]?.marks[extent].remove(.avoid)
            satisfy(key, now)
        case .corrupt(let reason):
            statistics.corrupt += 1
            layers[id]?.marks[extent].insert(.avoid)
            guard let corrupt = awaited[key]?.corrupt else { break }
            awaited[key]?.corrupt = corrupt + 1
            if corrupt + 1 >= configuration.corruptAttempts {
                recoverOrFail(key, reason: reason, now: now)
            } else {
                enqueue(key)
            }
        case .unstorable:
            backgroundPausedUntil = now.advanced(by: times.storageFullPause)
            markHoles(id)
            layers[id]?.marks[extent].remove(.avoid)
            satisfy(key, now)
        }
        return finish(now)
    }

    /// Updates the link estimate from the progress of `request`. For the answer to a demand, also updates the throttle
    /// of its host. If the request fetches a hint that is not a prediction, also calls ``extendHints(_:)``.
    private mutating func note(_ request: Request, _ now: MonotonicTime) {
        if !request.isAnswered {
            requests[request.id]?.isAnswered = true
            linkEstimate.answered(after: now.since(request.startedAt), now)
            if request.startedAs == .demand, let host = layers[request.layer]?.host {
                let isHalved = throttles[host, default: BackgroundThrottle()].answered(
                    after: now.since(request.startedAt), now)
                if isHalved { statistics.throttled += 1 }
            }
        }
        if request.startedAs == .hint, request.source?.isGuess == false { extendHints(now) }
        if let current = request.current, let map = layers[request.layer]?.map {
            linkEstimate.arrived(map.blobRange(of: current).count, now)
        }
    }

    // MARK: - Failure

    private mutating func failed(
        _ key: ExtentKey, with failure: RequestFailure, retryAfter: UInt64?, now: MonotonicTime
    ) {
        guard let extent = awaited[key] else { return }
        let attempts = extent.attempts + 1
        awaited[key]?.attempts = attempts
        guard failure.kind != .permanent, attempts < configuration.demandAttempts else {
            if failure.kind.isAnswered {
                recoverOrFail(key, reason: failure.reason, now: now)
            } else {
                fail(key, reason: failure.reason, now: now)
            }
            return
        }
        let pause = self.pause(attempts, longest: times.retryLongest)
        let time = now.advanced(by: max(pause, min(retryAfter ?? 0, times.retryLongest)))
        awaited[key]?.phase = .paused
        retries.append(ExtentRetry(key: key, time: time))
    }

    private mutating func throttle(_ id: LayerID, retryAfter: UInt64?, at now: MonotonicTime) {
        guard let host = layers[id]?.host else { return }
        let pause = min(retryAfter ?? 1_000_000_000, times.backgroundRetryLongest)
        throttledHosts[host] = max(throttledHosts[host] ?? now, now.advanced(by: pause))
    }

    private mutating func retryHint(
        _ request: Request, undone: [Range<Int>], failure: RequestFailure, now: MonotonicTime
    ) {
        guard failure.kind != .permanent, request.attempts + 1 < configuration.hintAttempts else {
            if failure.kind.isAnswered, !undone.isEmpty {
                requestRecovery(of: request.layer, reason: failure.reason, now: now)
            }
            return
        }
        let pause = self.pause(request.attempts + 1, longest: times.retryLongest)
        hintQueue.prepend(
            undone.map {
                BackgroundEntry(
                    layer: request.layer, extents: $0, source: request.source, attempts: request.attempts + 1,
                    notBefore: now.advanced(by: pause))
            })
    }

    private mutating func noteFill(_ id: LayerID, failed: Bool, after: UInt64?, at now: MonotonicTime) {
        guard let index = fillQueue.firstIndex(where: { $0.layer == id }) else { return }
        guard failed else {
            fillQueue[index].failures = 0
            return
        }
        fillQueue[index].failures += 1
        let pause = max(
            self.pause(fillQueue[index].failures, longest: times.backgroundRetryLongest), after ?? 0)
        fillQueue[index].notBefore = now.advanced(by: min(pause, times.backgroundRetryLongest))
    }

    /// Returns the pause before the next retry after `attempts` failures, in nanoseconds. The pause is at most
    /// `longest`.
    private func pause(_ attempts: Int, longest: UInt64) -> UInt64 {
        let doublings = min(max(attempts - 1, 0), 30)
        return min(times.retryFirst &<< UInt64(doublings), longest)
    }
}
