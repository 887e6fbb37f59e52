import Base

/// The functions that choose the extents of a request.
extension LayerState {
    /// The maximum number of extents in one run that this extension chooses.
    static let extentsPerRun = 16384

    private static let extentsNearby = 2048

    /// Returns a run of open extents (see ``isOpen(_:)``) in `range`. The run begins with the first open extent. If no
    /// extent in `range` is open, the run is empty.
    ///
    /// - Parameters:
    ///   - limit: the maximum size of the run in bytes, including the bytes between the extents of one range. A run of
    ///     a single extent may be larger.
    ///   - gap: the largest distance between two extents of one requested range, in bytes.
    ///   - ranges: the maximum number of ranges in the run.
    func backgroundRun(in range: Range<Int>, limit: UInt64, gap: UInt64, ranges: Int = 1) -> ExtentRun {
        var run = ExtentRun()
        var count = 0
        for extent in range where isOpen(extent) {
            let blob = map.blobRange(of: extent)
            if !run.isEmpty {
                let isApart = run.needsNewRange(for: blob, gap: gap)
                let bytes = isApart ? blob.count : blob.end - run.blob.end
                guard blob.offset >= run.blob.end, bytes <= limit - min(run.byteCount, limit),
                    !isApart || run.ranges.count < ranges, count < Self.extentsPerRun
                else { break }
            }
            run.append(extent, at: blob, gap: gap)
            count += 1
        }
        return run
    }

    /// Returns the extents to request for a demand, starting with the demanded extent `start`. After `start`, the run
    /// contains other demanded extents, planned read-ahead and neighbors (see ``ReadAround``), each kind up to its own
    /// limit. `neighbors` lists the neighbors in the run.
    ///
    /// - Parameter spare: the number of neighbor bytes that the link can carry without a delay for other readers. This
    ///   number limits the neighbors only if ``ExtentMap/extentsSpanFiles`` is true.
    func demandRun(
        from start: Int, _ configuration: PlannerConfiguration, spare: UInt64, now: MonotonicTime
    ) -> (run: ExtentRun, neighbors: [Int]) {
        var run = ExtentRun()
        var neighbors: [Int] = []
        var demanded: UInt64 = 0
        var ahead: UInt64 = 0
        var beside: UInt64 = 0
        var count = 0
        for extent in start..<marks.count {
            let blob = map.blobRange(of: extent)
            if !run.isEmpty {
                guard blob.offset >= run.blob.end, blob.offset - run.blob.end <= configuration.mergeGap,
                    blob.end - run.blob.offset <= configuration.runLimit.demand, count < Self.extentsPerRun
                else { break }
            }
            let mark = marks[extent]
            guard !mark.contains(.inFlight), !map.isPresent(extent) else { continue }
            if mark.contains(.demanded) {
                demanded &+= blob.count
            } else if mark.contains(.avoid) {
                continue
            } else if mark.contains(.planned) {
                guard ahead &+ blob.count <= configuration.demandAhead else { break }
                ahead &+= blob.count
            } else {
                let limit = accuracy.isHigh ? configuration.readAround.predicted : .max
                let allowance =
                    readAround?.allowance(
                        forDemandOf: demanded, limit: map.extentsSpanFiles ? min(spare, limit) : limit) ?? 0
                guard now >= hintedUntil, beside &+ blob.count <= allowance else { break }
                beside &+= blob.count
                neighbors.append(extent)
            }
            run.append(extent, at: blob, gap: configuration.mergeGap)
            count += 1
        }
        return (run, neighbors)
    }

    /// Returns a run of open extents (see ``isOpen(_:)``) close to the extent `place`: at most `distance` bytes before
    /// or after `place` in the blob. If any close extent at or after `place` is open, the run contains only such
    /// extents. Otherwise the run contains extents before `place`. If no close extent is open, the run is empty.
    ///
    /// - Parameters:
    ///   - limit: the maximum size of the run in bytes. A run of a single extent may be larger.
    ///   - gap: the largest distance between two extents of one requested range, in bytes.
    ///   - ranges: the maximum number of ranges in the run.
    func run(around place: Int, within distance: UInt64, limit: UInt64, gap: UInt64, ranges: Int) -> ExtentRun {
        guard marks.indices.contains(place) else { return ExtentRun() }
        let blob = map.blobRange(of: place)
        var end = place + 1
        while end < marks.count, end - place < Self.extentsNearby, map.blobRange(of: end).end <= blob.end &+ distance {
            end += 1
        }
        let behind = backgroundRun(in: place..<end, limit: limit, gap: gap, ranges: ranges)
        guard behind.isEmpty else { return behind }
        var start = place
        while start > 0, place - start < Self.extentsNearby,
            map.blobRange(of: start - 1).offset &+ distance >= blob.offset
        {
            start -= 1
        }
        return backgroundRun(in: start..<place, limit: limit, gap: gap, ranges: ranges)
    }
}
