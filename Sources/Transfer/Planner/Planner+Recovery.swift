public import Base

/// The functions that handle recoveries of layers (``PlannerAction/recover(_:reason:)``).
extension Planner {
    /// Makes an awaited extent wait for a recovery of its layer. If there can be no recovery now, fails the demands
    /// that wait for the extent.
    ///
    /// - Parameter reason: the reason why requests cannot bring the extent.
    mutating func recoverOrFail(_ key: ExtentKey, reason: String, now: MonotonicTime) {
        guard awaited[key]?.waiters.isEmpty == false, requestRecovery(of: key.layer, reason: reason, now: now) else {
            fail(key, reason: reason, now: now)
            return
        }
        awaited[key]?.phase = .recovering
    }

    /// Begins a recovery of the layer, unless one is running. Returns false if there can be no recovery now.
    @discardableResult
    mutating func requestRecovery(of id: LayerID, reason: String, now: MonotonicTime) -> Bool {
        guard stoppedReason == nil, let answer = layers[id]?.recovery.request(now) else { return false }
        if answer == .begin {
            statistics.recoveries += 1
            actions.append(.recover(id, reason: reason))
        }
        return answer != .refuse
    }

    /// Records the outcome of the recovery for an extent. It is `available` if every chunk of the extent is in the
    /// store now, and `unstorable` if some are in memory instead. A running request may still bring the same extent.
    public mutating func extentRecovered(
        _ id: LayerID, extent: Int, outcome: ExtentOutcome, now: MonotonicTime
    ) -> [PlannerAction] {
        guard layers[id]?.marks.indices.contains(extent) == true else { return [] }
        let key = ExtentKey(layer: id, extent: extent)
        switch outcome {
        case .available:
            layers[id]?.marks[extent].remove(.avoid)
            satisfy(key, now)
        case .unstorable:
            backgroundPausedUntil = now.advanced(by: times.storageFullPause)
            if awaited[key]?.phase == .recovering { satisfy(key, now) }
        case .corrupt(let reason):
            guard awaited[key]?.phase == .recovering else { break }
            fail(key, reason: reason, now: now)
        }
        return finish(now)
    }

    /// Records the end of a layer's recovery. The demands that still wait for it fail. But after a success, an extent
    /// is requested once more: its demand may have joined the recovery when its bytes had passed.
    ///
    /// - Parameter failure: the reason why the recovery ended early; `nil` if it read the whole blob.
    public mutating func recoveryEnded(
        _ id: LayerID, failure: String?, now: MonotonicTime
    ) -> [PlannerAction] {
        let waiting = awaited.filter { $0.key.layer == id && $0.value.phase == .recovering }.keys
        layers[id]?.recovery.end(
            failed: failure != nil || waiting.contains { (awaited[$0]?.recoveries ?? 0) > 0 },
            first: times.recoveryFirstPause,
            longest: times.recoveryLongestPause, now: now)
        for key in waiting.sorted(by: { $0.extent < $1.extent }) {
            if failure == nil, awaited[key]?.recoveries == 0 {
                awaited[key]?.recoveries = 1
                enqueue(key)
                continue
            }
            fail(key, reason: failure ?? "the layer's blob lacks the bytes of extent \(key.extent)", now: now)
        }
        return finish(now)
    }
}
