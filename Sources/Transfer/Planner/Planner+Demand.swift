import Base
import ContentStore

/// The functions that handle the demands of waiting readers.
extension Planner {
    /// Makes `demand` wait for the missing extent `key`. Queues the extent for a new request, unless a running request
    /// will bring it soon enough.
    mutating func add(_ demand: DemandID, to key: ExtentKey) {
        if awaited[key] != nil {
            awaited[key]?.waiters.append(demand)
            if layers[key.layer]?.marks[key.extent].contains(.inFlight) == true { statistics.joined += 1 }
            // By now, the bytes in front of the extent may exceed the join distance, so check again.
            if awaited[key]?.phase == .inFlight { _ = promote(key) }
            return
        }
        var extent = AwaitedExtent(phase: .queued)
        extent.waiters.append(demand)
        if layers[key.layer]?.marks[key.extent].contains(.inFlight) == true {
            statistics.joined += 1
            if promote(key) { extent.phase = .inFlight }
        }
        awaited[key] = extent
        if extent.phase == .queued {
            layers[key.layer]?.statistics.surprises += 1
            enqueue(key)
        }
    }

    /// Puts an awaited extent into the demand queue.
    mutating func enqueue(_ key: ExtentKey) {
        layers[key.layer]?.marks[key.extent].insert(.demanded)
        awaited[key]?.phase = .queued
        demandQueue.append(key)
    }

    /// Makes the request that fetches the extent `key` urgent, because a reader waits for the extent. Does one of three
    /// things:
    ///
    /// - Usually, promotes the request to class demand.
    /// - If too many bytes precede the extent in the request, ends the request before the extent; see
    ///   ``PlannerConfiguration/joinDistance``.
    /// - If the extent is already in decoding, asks the caller to decode it before others.
    ///
    /// - Returns: false if the request now ends before the extent, so that the extent is no longer in flight.
    mutating func promote(_ key: ExtentKey) -> Bool {
        guard
            let id = requests.first(where: { $0.value.layer == key.layer && $0.value.contains(key.extent) })?.key,
            let request = requests[id]
        else {
            // The extent has arrived and is in decoding.
            actions.append(.expedite(key.layer, key.extent))
            return true
        }
        if isFarBehind(key.extent, in: request) {
            cut(id, at: key.extent)
            return false
        }
        if request.fetchClass != .demand {
            statistics.promoted += 1
            running[request.fetchClass] -= 1
            runningBytes[request.fetchClass] -= request.bytes
            running.demand += 1
            runningBytes.demand += request.bytes
            requests[id]?.fetchClass = .demand
        }
        return true
    }

    /// Returns true if `request` would bring too many other bytes before `extent`. The limit is
    /// ``PlannerConfiguration/joinDistance``, or ``PlannerConfiguration/joinDistanceInHint`` for a hint request. Bytes
    /// that a reader waits for do not count.
    private func isFarBehind(_ extent: Int, in request: Request) -> Bool {
        guard extent != request.current, let map = layers[request.layer]?.map else { return false }
        let distance = request.startedAs == .hint ? configuration.joinDistanceInHint : configuration.joinDistance
        var idle: UInt64 = 0
        if let current = request.current, awaited[ExtentKey(layer: request.layer, extent: current)] == nil {
            idle = map.blobRange(of: current).count
        }
        for segment in request.rest {
            for other in segment {
                if other == extent { return false }
                if awaited[ExtentKey(layer: request.layer, extent: other)] == nil {
                    idle &+= map.blobRange(of: other).count
                    if idle > distance { return true }
                }
            }
        }
        return false
    }

    /// Removes `extent` and all extents after it from a request. The removed extents of a hint or of read-ahead go back
    /// into their queue.
    private mutating func cut(_ id: RequestID, at extent: Int) {
        guard let request = requests[id] else { return }
        statistics.cut += 1
        guard let index = request.rest.firstIndex(where: { $0.contains(extent) }) else { return }
        let segment = request.rest[index]
        var kept = Array(request.rest[..<index])
        if segment.lowerBound < extent { kept.append(segment.lowerBound..<extent) }
        let released = [extent..<segment.upperBound] + request.rest[(index + 1)...]
        requests[id]?.rest = kept
        let map = layers[request.layer]?.map
        let bytes = released.joined().reduce(0) { $0 &+ (map?.blobRange(of: $1).count ?? 0) }
        requests[id]?.bytesLeft -= min(bytes, request.bytesLeft)
        release(released, of: request)
        // A hint or read-ahead still needs these extents. A hint needs them sooner than the extents in its queue.
        let entries = released.map {
            BackgroundEntry(layer: request.layer, extents: $0, source: request.source, attempts: request.attempts)
        }
        switch request.startedAs {
        case .hint: hintQueue.prepend(entries)
        case .readahead: entries.forEach { plan($0) }
        case .demand, .fill: break
        }
    }

    /// Marks the extents in `segments` as no longer in flight, because `request` will not fetch them. If a reader waits
    /// for one of these extents, the extent goes back into the demand queue.
    mutating func release(_ segments: [Range<Int>], of request: Request) {
        for segment in segments {
            for extent in segment {
                layers[request.layer]?.finish(extent, arrived: false)
                let key = ExtentKey(layer: request.layer, extent: extent)
                if awaited[key] != nil { enqueue(key) }
            }
        }
        if !segments.isEmpty { markHoles(request.layer) }
    }

    /// Completes a demand with `outcome`, even if it still waits for extents.
    mutating func end(_ demand: DemandID, with outcome: ChunkOutcome, now: MonotonicTime) {
        guard let ended = demands.removeValue(forKey: demand) else { return }
        for extent in ended.extents {
            let key = ExtentKey(layer: ended.layer, extent: extent)
            guard let waiters = awaited[key]?.waiters else { continue }
            let others = waiters.filter { $0 != demand }
            if others.isEmpty {
                awaited[key] = nil
                layers[key.layer]?.marks[extent].remove(.demanded)
            } else if others.count != waiters.count {
                awaited[key]?.waiters = others
            }
        }
        let waited = now.since(ended.since)
        statistics.stalled &+= waited
        statistics.stalls.add(waited)
        layers[ended.layer]?.statistics.add(stall: waited)
        switch outcome {
        case .available: break
        case .cancelled: statistics.cancelled += 1
        case .failed:
            statistics.failed += 1
            layers[ended.layer]?.statistics.failed += 1
        }
        lastDemand = now
        actions.append(.complete(demand, outcome))
    }

    /// Records that the extent is in the store, and completes the demands that lacked only this extent.
    mutating func satisfy(_ key: ExtentKey, _ now: MonotonicTime) {
        layers[key.layer]?.lastFailure = nil
        guard let extent = awaited.removeValue(forKey: key) else { return }
        layers[key.layer]?.marks[key.extent].remove(.demanded)
        for demand in extent.waiters {
            demands[demand]?.missing -= 1
            if demands[demand]?.missing == 0 { end(demand, with: .available, now: now) }
        }
    }

    /// Fails every demand that waits for the extent, with `reason`.
    mutating func fail(_ key: ExtentKey, reason: String, now: MonotonicTime) {
        guard let extent = awaited[key] else { return }
        if !extent.waiters.isEmpty { layers[key.layer]?.lastFailure = now }
        for demand in extent.waiters { end(demand, with: .failed(reason: reason), now: now) }
    }

    /// Returns true if the registry is probably down: a demand on `layer` failed recently, and no extent has arrived
    /// since.
    func isOut(_ layer: LayerID, _ now: MonotonicTime) -> Bool {
        layers[layer]?.lastFailure.map { now.since($0) < times.outageMemory } ?? false
    }

    /// Fails the demands whose deadline has passed, and asks for a ``tick(now:)`` at the next deadline.
    mutating func expireDemands(_ now: MonotonicTime) {
        for queue in deadlines.indices {
            while let next = deadlines[queue].first {
                guard let demand = demands[next.demand] else {
                    _ = deadlines[queue].popFirst()
                    continue
                }
                guard next.time <= now else {
                    wake(at: next.time)
                    break
                }
                _ = deadlines[queue].popFirst()
                layers[demand.layer]?.lastFailure = now
                let waited = now.since(demand.since) / 1_000_000_000
                end(next.demand, with: .failed(reason: "nothing arrived within \(waited) s"), now: now)
            }
        }
    }

    // MARK: - Access patterns

    /// Handles a read of `extents`. Counts the extents that the planner had requested in advance, and schedules
    /// read-ahead. There is no read-ahead while a hint covers the layer's reads (``LayerState/hintedUntil``).
    ///
    /// - Parameter isLocal: true if the store had all extents. During a ``KnownStart``, such a read causes no
    ///   read-ahead.
    mutating func noteAccess(to id: LayerID, extents: Range<Int>, isLocal: Bool, now: MonotonicTime) {
        if let last = extents.last { nearbyFill.note(ExtentKey(layer: id, extent: last)) }
        for extent in extents { noteFirstRead(extent, of: id) }
        guard let map = layers[id]?.map,
            let stream = layers[id]?.streams.access(extents, in: map, configuration: configuration),
            now >= layers[id]?.hintedUntil ?? now, !isLocal || knownStart(of: id, now: now) == nil,
            let isAccurate = layers[id]?.accuracy.isHigh,
            let ahead = layers[id]?.streams.ahead(stream, in: map, isWithinFile: isAccurate)
        else { return }
        plan(BackgroundEntry(layer: id, extents: ahead))
    }

    /// Counts the first read of an extent that the planner requested before any reader demanded it.
    private mutating func noteFirstRead(_ extent: Int, of id: LayerID) {
        guard let marks = layers[id]?.marks[extent], !marks.isDisjoint(with: [.speculative, .hinted, .predicted])
        else { return }
        layers[id]?.marks[extent].subtract([.speculative, .neighbor, .hinted, .predicted])
        if marks.contains(.hinted) {
            statistics.hintedBytesRead += layers[id]?.map.blobRange(of: extent).count ?? 0
        } else if marks.contains(.predicted) {
            layers[id]?.accuracy.recordHit()
            statistics.predictedBytesRead += layers[id]?.map.blobRange(of: extent).count ?? 0
        }
        guard marks.contains(.speculative) else { return }
        statistics.speculativeRead += 1
        guard marks.contains(.neighbor), let bytes = layers[id]?.map.blobRange(of: extent).count else { return }
        layers[id]?.readAround?.wasRead(bytes)
        readAround.wasRead(bytes)
    }

    /// Adds an entry to the read-ahead queue. If the queue is then too long, drops the oldest entry.
    private mutating func plan(_ entry: BackgroundEntry) {
        layers[entry.layer]?.mark(entry.extents, .planned)
        readaheadQueue.append(entry)
        // The queue is bounded. The oldest entries are the least likely to be read.
        if readaheadQueue.count > 64 { unplan(readaheadQueue.removeFirst()) }
    }

    /// Removes the ``LayerState/Marks/planned`` mark from the entry's extents.
    mutating func unplan(_ entry: BackgroundEntry) {
        layers[entry.layer]?.unmark(entry.extents, .planned)
    }
}
