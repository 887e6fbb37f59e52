import Base

/// The functions that choose the extents of a request.
extension LayerState {
    /// The maximum number of extents in one run for demand, read-ahead or fill. A run is the sequence of extents that
    /// one request fetches (``ExtentRun``). Runs for hints have no such limit.
    static let extentsPerRun = 16384

    /// The maximum number of extents before or after an extent that count as close to it.
    private static let extentsNearby = 2048

    /// Returns a run of open extents (see ``isOpen(_:)``) in `range`, in ascending order. The run begins with the first
    /// open extent. If no extent in `range` is open, the run is empty.
    ///
    /// - Parameters:
    ///   - range: the numbers of the extents that the run may contain.
    ///   - limit: the maximum size of the run in bytes, including the bytes between the extents of one requested range.
    ///     A run of a single extent may be larger.
    ///   - gap: the largest distance in bytes between two extents that share a requested range.
    ///   - ranges: the maximum number of requested ranges.
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

    /// Returns the run to request for a demand. The run begins with the demanded extent `start`. After `start`, in the
    /// order of the blob, it contains other demanded extents, planned read-ahead and neighbors (see ``ReadAround``).
    /// `neighbors` lists the neighbors in the run.
    ///
    /// - Parameters:
    ///   - configuration: the limits of the run: its size (``PlannerConfiguration/runLimit``), the distance between its
    ///     extents (``PlannerConfiguration/mergeGap``), and its amount of read-ahead
    ///     (``PlannerConfiguration/demandAhead``).
    ///   - spare: the number of neighbor bytes that the link can carry without a delay for other readers. This number
    ///     limits the neighbors only if ``ExtentMap/extentsSpanFiles`` is true.
    ///   - now: the current time. While a hint covers the layer's reads (``hintedUntil``), the run contains no
    ///     neighbors.
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
    /// extents. Otherwise the run contains close extents before `place`. If no close extent is open, the run is empty.
    ///
    /// - Parameters:
    ///   - limit: the maximum size of the run in bytes. A run of a single extent may be larger.
    ///   - gap: the largest distance in bytes between two extents that share a requested range.
    ///   - ranges: the maximum number of requested ranges.
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
