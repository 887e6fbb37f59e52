import Base
import ContentStore

/// Who waits for what, and what becomes of them.
extension Planner {
    /// `ticket` waits for a missing extent.
    mutating func want(_ key: ExtentKey, _ ticket: DemandID) {
        if wants[key] != nil {
            wants[key]?.waiters.append(ticket)
            if layers[key.layer]?.marks[key.extent].contains(.inFlight) == true { statistics.joined += 1 }
            // It may have moved into the distance of a request since: look again.
            if wants[key]?.phase == .inFlight { _ = promote(key) }
            return
        }
        var want = Want(phase: .queued)
        want.waiters.append(ticket)
        if layers[key.layer]?.marks[key.extent].contains(.inFlight) == true {
            statistics.joined += 1
            if promote(key) { want.phase = .inFlight }
        }
        wants[key] = want
        if want.phase == .queued {
            layers[key.layer]?.statistics.surprises += 1
            enqueue(key)
        }
    }

    /// Puts a wanted extent into the demand queue.
    mutating func enqueue(_ key: ExtentKey) {
        layers[key.layer]?.marks[key.extent].insert(.wanted)
        wants[key]?.phase = .queued
        demandQueue.append(key)
    }

    /// Makes what carries the extent a demand. False when the extent was cut out of its request and is idle now.
    mutating func promote(_ key: ExtentKey) -> Bool {
        guard
            let id = requests.first(where: { $0.value.layer == key.layer && $0.value.contains(key.extent) })?.key,
            let request = requests[id]
        else {
            // It has arrived, and is in decoding.
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

    /// Whether more than the join distance of bytes that nobody waits for would come before `extent`.
    private func isFarBehind(_ extent: Int, in request: Request) -> Bool {
        guard extent != request.current, let map = layers[request.layer]?.map else { return false }
        let distance =
            request.startedAs == .profile ? configuration.joinDistanceInProfile : configuration.joinDistance
        var idle: UInt64 = 0
        if let current = request.current, wants[ExtentKey(layer: request.layer, extent: current)] == nil {
            idle = map.blobRange(of: current).count
        }
        for segment in request.rest {
            for other in segment {
                if other == extent { return false }
                if wants[ExtentKey(layer: request.layer, extent: other)] == nil {
                    idle &+= map.blobRange(of: other).count
                    if idle > distance { return true }
                }
            }
        }
        return false
    }

    /// Takes everything from `extent` on out of a request.
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
        // A profile still wants the rest, and before what comes after it.
        let entries = released.map {
            BackgroundEntry(
                layer: request.layer, extents: $0, isPredicted: request.isPredicted, attempts: request.attempts)
        }
        switch request.startedAs {
        case .profile: profileQueue.prepend(entries)
        case .readahead: entries.forEach { plan($0) }
        case .demand, .fill: break
        }
    }

    /// Extents of a request that it will not fetch are idle again; those that somebody waits for are queued.
    mutating func release(_ segments: [Range<Int>], of request: Request) {
        for segment in segments {
            for extent in segment {
                layers[request.layer]?.finish(extent, arrived: false)
                let key = ExtentKey(layer: request.layer, extent: extent)
                if wants[key] != nil { enqueue(key) }
            }
        }
        if !segments.isEmpty { markHoles(request.layer) }
    }

    /// Ends a demand, whatever it still waits for.
    mutating func end(_ ticket: DemandID, _ outcome: ChunkOutcome, _ now: MonotonicTime) {
        guard let demand = demands.removeValue(forKey: ticket) else { return }
        for extent in demand.extents {
            let key = ExtentKey(layer: demand.layer, extent: extent)
            guard let want = wants[key] else { continue }
            let others = want.waiters.filter { $0 != ticket }
            if others.isEmpty {
                wants[key] = nil
                layers[key.layer]?.marks[extent].remove(.wanted)
            } else if others.count != want.waiters.count {
                wants[key]?.waiters = others
            }
        }
        let waited = now.since(demand.since)
        statistics.stalled &+= waited
        statistics.stalls.add(waited)
        layers[demand.layer]?.statistics.add(stall: waited)
        switch outcome {
        case .available: break
        case .cancelled: statistics.cancelled += 1
        case .failed:
            statistics.failed += 1
            layers[demand.layer]?.statistics.failed += 1
        }
        lastDemand = now
        actions.append(.complete(ticket, outcome))
    }

    /// The extent is in the store: those who waited for nothing else are done.
    mutating func satisfy(_ key: ExtentKey, _ now: MonotonicTime) {
        layers[key.layer]?.lastFailure = nil
        guard let want = wants.removeValue(forKey: key) else { return }
        layers[key.layer]?.marks[key.extent].remove(.wanted)
        for ticket in want.waiters {
            demands[ticket]?.missing -= 1
            if demands[ticket]?.missing == 0 { end(ticket, .available, now) }
        }
    }

    /// The extent cannot be had: everybody who waits for it is told why.
    mutating func fail(_ key: ExtentKey, _ reason: String, _ now: MonotonicTime) {
        guard let want = wants[key] else { return }
        if !want.waiters.isEmpty { layers[key.layer]?.lastFailure = now }
        for ticket in want.waiters { end(ticket, .failed(reason: reason), now) }
    }

    /// How long a demand on `layer` may wait, in nanoseconds.
    func demandTimeout(_ layer: LayerID, _ now: MonotonicTime) -> UInt64 {
        guard let failure = layers[layer]?.lastFailure, now.since(failure) < configuration.outageMemory else {
            return configuration.demandTimeout
        }
        return min(configuration.demandTimeoutInOutage, configuration.demandTimeout)
    }

    /// Fails the demands whose time has come.
    mutating func expireDemands(_ now: MonotonicTime) {
        while let next = deadlines.first {
            guard demands[next.ticket] != nil else {
                _ = deadlines.popFirst()
                continue
            }
            guard next.time <= now else {
                wake(at: next.time)
                return
            }
            _ = deadlines.popFirst()
            let waited = demands[next.ticket].map { now.since($0.since) / 1_000_000_000 } ?? 0
            if let layer = demands[next.ticket]?.layer { layers[layer]?.lastFailure = now }
            end(next.ticket, .failed(reason: "nothing arrived within \(waited) s"), now)
        }
    }

    /// Takes note of reading, from the store or not: it feeds readahead and tells which guesses were good. Where a start is known,
    /// only what it does not have is read ahead of.
    mutating func noteAccess(_ id: LayerID, _ extents: Range<Int>, isLocal: Bool, _ now: MonotonicTime) {
        if let last = extents.last { surroundings.note(ExtentKey(layer: id, extent: last)) }
        for extent in extents {
            guard let marks = layers[id]?.marks[extent], !marks.isDisjoint(with: [.speculative, .profiled, .predicted])
            else {
                continue
            }
            layers[id]?.marks[extent].subtract([.speculative, .neighbour, .profiled, .predicted])
            if marks.contains(.profiled) {
                statistics.profiledBytesRead += layers[id]?.map.blobRange(of: extent).count ?? 0
            } else if marks.contains(.predicted) {
                layers[id]?.foresight.foreseen()
                statistics.predictedBytesRead += layers[id]?.map.blobRange(of: extent).count ?? 0
            }
            guard marks.contains(.speculative) else { continue }
            statistics.speculatedRead += 1
            guard marks.contains(.neighbour), let bytes = layers[id]?.map.blobRange(of: extent).count else { continue }
            layers[id]?.neighbourhood?.wasRead(bytes)
            neighbourhood.wasRead(bytes)
        }
        guard let map = layers[id]?.map,
            let stream = layers[id]?.streams.access(extents, map, configuration),
            now >= layers[id]?.profiledUntil ?? now, !isLocal || !isKnown(id, now: now),
            let isForeseen = layers[id]?.foresight.isGood,
            let ahead = layers[id]?.streams.ahead(stream, map, isWithinFile: isForeseen)
        else { return }
        plan(BackgroundEntry(layer: id, extents: ahead))
    }

    /// Queues a piece of readahead.
    private mutating func plan(_ entry: BackgroundEntry) {
        layers[entry.layer]?.mark(entry.extents, .planned)
        readaheadQueue.append(entry)
        // Bounded: the oldest plans are the least likely to be right.
        if readaheadQueue.count > 64 { unplan(readaheadQueue.removeFirst()) }
    }

    /// A piece of readahead is no longer planned.
    mutating func unplan(_ entry: BackgroundEntry) {
        layers[entry.layer]?.unmark(entry.extents, .planned)
    }
}
