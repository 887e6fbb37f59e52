import Base

/// Where readers have been of late: fill begins there while a container starts.
///
/// What a start reads next lies near what it has read, more often than not: the rest of a package, its data, what describes it.
/// While the process computes, the link would be idle, or fill would carry what nobody is about to read. A start that is known
/// needs none of it.
struct NearbyFill: Sendable {
    private static let limit = 64
    /// A read so many extents beside another one is at the same place.
    private static let nearness = 8

    /// The latest one last.
    private var places: [ExtentKey] = []

    var latest: ExtentKey? { places.last }

    mutating func note(_ key: ExtentKey) {
        let index = places.lastIndex { $0.layer == key.layer && abs($0.extent - key.extent) <= Self.nearness }
        if let index { places.remove(at: index) } else if places.count == Self.limit { places.removeFirst() }
        places.append(key)
    }

    mutating func removeLatest() { _ = places.popLast() }

    mutating func forget(_ layer: LayerID) { places.removeAll { $0.layer == layer } }
}

extension LayerState {
    /// A run of open extents around `place`, what lies behind it first: up to `limit` bytes, no further away than `distance`
    /// bytes of the blob.
    func run(around place: Int, within distance: UInt64, limit: UInt64, gap: UInt64, ranges: Int) -> Run {
        guard marks.indices.contains(place) else { return Run() }
        let blob = map.blobRange(of: place)
        var end = place + 1
        while end < marks.count, end - place < Self.extentsAround, map.blobRange(of: end).end <= blob.end &+ distance {
            end += 1
        }
        let behind = backgroundRun(in: place..<end, limit: limit, gap: gap, ranges: ranges)
        guard behind.isEmpty else { return behind }
        var start = place
        while start > 0, place - start < Self.extentsAround,
            map.blobRange(of: start - 1).offset &+ distance >= blob.offset
        {
            start -= 1
        }
        return backgroundRun(in: start..<place, limit: limit, gap: gap, ranges: ranges)
    }

    private static let extentsAround = 2048
}

/// Fill while a container starts.
extension Planner {
    /// Starts what lies around the latest reads, in requests so small that no reader waits for one for longer than a round trip.
    /// Where that is short, a reader's own request is answered as soon.
    mutating func fillSurroundings(_ now: MonotonicTime) {
        guard configuration.surroundings > 0, let lastDemand, !hasDemand, surroundings.latest != nil,
            !fillQueue.isEmpty, hasRoom(.fill, now), isStarting(now),
            pace.shortestDelay >= configuration.surroundingsDelay
        else { return }
        let quietAt = lastDemand.advanced(by: configuration.surroundingsQuiet)
        guard now >= quietAt else {
            wake(at: quietAt)
            return
        }
        while hasRoom(.fill, now), mayFillTake(now), let place = surroundings.latest {
            guard let quietUntil = layers[place.layer]?.profiledUntil, now >= quietUntil,
                !isKnown(place.layer, now: now),
                let entry = fillQueue.first(where: { $0.layer == place.layer }),
                mayFetch(place.layer, notBefore: entry.notBefore, now), let run = run(around: place)
            else {
                surroundings.removeLatest()
                continue
            }
            start(run, place.layer, .fill, attempts: entry.failures, mayPause: false, now)
        }
    }

    /// The next request for what lies around `place`; `nil` when all of that is here, or on its way.
    private func run(around place: ExtentKey) -> Run? {
        guard let layer = layers[place.layer] else { return nil }
        let (gap, ranges) = rangesApart(for: layer.host)
        let run = layer.run(
            around: place.extent, within: configuration.surroundings, limit: pace.bytesInRoundTrip, gap: gap,
            ranges: ranges)
        return run.isEmpty ? nil : run
    }

    /// Whether readers have waited until a moment ago, and so may wait again.
    func isStarting(_ now: MonotonicTime) -> Bool {
        lastDemand.map { now.since($0) < configuration.startQuiet } ?? false
    }

    /// The most that one request of fill carries: what the link carries in a tenth of a second while a container starts, since a
    /// request is not torn down when a reader comes.
    func fillLimit(_ now: MonotonicTime) -> UInt64 {
        let limit = configuration.runLimit.fill
        guard isStarting(now), pace.highestRate > 0, pace.highestRate < Double(limit) * 10 else { return limit }
        return max(min(limit, 512 << 10), UInt64(pace.highestRate / 10))
    }
}
