public import Base

/// The functions of start hints. The planner fetches hinted extents in the order of first use, with few requests.
extension Planner {
    /// The maximum number of ranges in one ``FetchRequest``.
    public static let maximumRanges = 128

    /// Queues hinted extents for prefetch, after those of earlier calls.
    ///
    /// - Parameters:
    ///   - runs: the extents that a container's start will probably read, in the order of first use. Each element is a
    ///     range of consecutive extents of one layer.
    ///   - source: the source of the hint. Unless the hint is a guess (``HintSource/isGuess``), the planner does not
    ///     speculate in these layers for ``PlannerConfiguration/hintQuiet``. If the hint comes from a recorded start, a
    ///     ``KnownStart`` begins in each of these layers.
    public mutating func prefetch(
        _ runs: [(layer: LayerID, extents: Range<Int>)], source: HintSource, now: MonotonicTime
    ) -> [PlannerAction] {
        guard stoppedReason == nil else { return [] }
        var named: [LayerID: UInt64] = [:]
        // Two runs may name the same extent.
        var seen: Set<ExtentKey> = []
        for (layer, extents) in runs {
            guard let extents = layers[layer]?.clamped(extents), !extents.isEmpty else { continue }
            hintQueue.append(BackgroundEntry(layer: layer, extents: extents, source: source))
            guard !source.isGuess else { continue }
            layers[layer]?.hintedUntil = now.advanced(by: times.hintQuiet)
            for extent in extents where seen.insert(ExtentKey(layer: layer, extent: extent)).inserted {
                named[layer, default: 0] &+= layers[layer]?.map.blobRange(of: extent).count ?? 0
            }
        }
        for (layer, bytes) in named { layers[layer]?.hintedBytes = bytes }
        if source.isRecorded { beginStart(of: Set(runs.map(\.layer)), with: source, at: now) }
        return finish(now)
    }

    /// Records that a startup pack is bringing extents of the layers `ids`. Fill pauses for a while, and so does
    /// speculation (read-ahead, read-around, nearby fill) in these layers. The caller repeats the call while bytes of
    /// the pack arrive.
    ///
    /// - Parameter source: the kind of pack. After a predicted pack, speculation pauses only for
    ///   ``PlannerConfiguration/predictedPackQuiet``. With a recorded pack, a ``KnownStart`` begins in each of the
    ///   layers.
    public mutating func noteDelivery(of ids: some Sequence<LayerID>, source: HintSource, now: MonotonicTime) {
        // A predicted pack does not cover all reads, so speculation resumes soon after the pack has arrived.
        let quiet = source.isGuess ? times.predictedPackQuiet : times.hintQuiet
        for id in ids {
            let until = layers[id]?.hintedUntil ?? now
            layers[id]?.hintedUntil = max(until, now.advanced(by: quiet))
            if source.isGuess { layers[id]?.accuracy.beginTrusted() }
        }
        if source.isRecorded { beginStart(of: ids, with: source, at: now) }
        lastDemand = now
    }

    /// Returns the source of the hint for the current container start, if this start repeats a recorded start; see
    /// ``KnownStart``. Returns `nil` if the layer has no such start in progress, or if there were too many unexpected
    /// reads.
    public func knownStart(of id: LayerID, now: MonotonicTime) -> HintSource? {
        layers[id]?.knownStart.source(now)
    }

    private mutating func beginStart(of ids: some Sequence<LayerID>, with source: HintSource, at now: MonotonicTime) {
        for id in ids { layers[id]?.knownStart.begin(source, until: now.advanced(by: times.startQuiet), at: now) }
    }

    // MARK: - Batches

    /// Requests further batches of hints. The planner requests a batch once few enough bytes of earlier batches are
    /// still to come; see ``PlannerConfiguration/hintAhead``.
    mutating func startHints(_ now: MonotonicTime) {
        while !hintQueue.isEmpty, hasRoom(.hint, now), hintBytesLeft <= hintLead {
            let batch = takeBatch(now)
            guard !batch.isEmpty else { return }
            for part in batch {
                for run in runs(of: part) {
                    for extent in run.segments.joined() { note(extent, part) }
                    start(run, of: part.layer, as: .hint, attempts: part.attempts, source: part.source, now: now)
                }
            }
            hintBatch = min(hintBatch &* configuration.hintBatchGrowth, configuration.runLimit.hint)
            if batch.contains(where: { !$0.source.isGuess }) { extendHints(now) }
        }
        // The next start begins with a small batch again. While hint requests are running, the current start may
        // still send hints.
        if hintQueue.isEmpty, hintBytesLeft == 0 { hintBatch = configuration.hintFirstBatch }
    }

    /// Marks and counts an extent of `part` that a hint request fetches.
    private mutating func note(_ extent: Int, _ part: Part) {
        let bytes = layers[part.layer]?.map.blobRange(of: extent).count ?? 0
        if part.source.isGuess {
            layers[part.layer]?.marks[extent].insert(.predicted)
            layers[part.layer]?.accuracy.begin()
            statistics.predictedBytes += bytes
        } else {
            layers[part.layer]?.marks[extent].insert(.hinted)
            statistics.hintedBytes += bytes
        }
    }

    /// Extends the time for which hints cover the reads of layers. In each layer with a ``LayerState/hintedUntil`` in
    /// the future, sets that time to now plus ``PlannerConfiguration/hintQuiet``. Until then, the planner does not
    /// speculate in the layer. Also prolongs the ``KnownStart`` of each such layer.
    mutating func extendHints(_ now: MonotonicTime) {
        // The planner calls this function for each extent, and a node may have hundreds of layers. A few updates per
        // `hintQuiet` are enough.
        guard now.since(hintsExtended) >= times.hintQuiet / 8 else { return }
        hintsExtended = now
        for id in Array(layers.keys) where layers[id]?.hintedUntil ?? now > now {
            layers[id]?.hintedUntil = now.advanced(by: times.hintQuiet)
            if let source = knownStart(of: id, now: now) { beginStart(of: [id], with: source, at: now) }
        }
    }

    /// The number of bytes that running hint requests have not received yet.
    private var hintBytesLeft: UInt64 {
        requests.values.reduce(0) { $1.startedAs == .hint ? $0 &+ $1.bytesLeft : $0 }
    }

    /// The threshold for the next batch of hints, in bytes. The planner requests that batch once ``hintBytesLeft``
    /// falls to the threshold.
    private var hintLead: UInt64 {
        min(max(configuration.hintAhead, linkEstimate.bytesWhileAnswering), configuration.byteLimit.hint)
    }

    /// The extents of a batch that belong to one layer, in the order of first use. They also have the same number of
    /// failed requests and the same ``HintSource/isGuess``.
    private struct Part {
        let layer: LayerID
        let attempts: Int
        let source: HintSource
        var extents: [Int] = []

        /// Returns true if extents of `entry` may join this part.
        func takes(_ entry: BackgroundEntry) -> Bool {
            layer == entry.layer && attempts == entry.attempts && source.isGuess == entry.source?.isGuess
        }
    }

    /// Removes the next open extents (see ``LayerState/isOpen(_:)``) from the hint queue, up to the size of a batch.
    /// Returns these extents grouped into parts, usually one part for each layer.
    private mutating func takeBatch(_ now: MonotonicTime) -> [Part] {
        var batch: [Part] = []
        var later: [BackgroundEntry] = []
        var bytes: UInt64 = 0
        // Two entries may name the same extent.
        var taken: Set<ExtentKey> = []
        while bytes < hintBatch, let entry = hintQueue.popFirst() {
            guard let layer = layers[entry.layer], let source = entry.source else { continue }
            guard mayFetch(entry.layer, notBefore: entry.notBefore, at: now) else {
                later.append(entry)
                continue
            }
            for extent in entry.extents where layer.isOpen(extent) {
                guard bytes < hintBatch else {
                    var rest = entry
                    rest.extents = extent..<entry.extents.upperBound
                    later.append(rest)
                    break
                }
                guard taken.insert(ExtentKey(layer: entry.layer, extent: extent)).inserted else { continue }
                bytes &+= layer.map.blobRange(of: extent).count
                if let index = batch.firstIndex(where: { $0.takes(entry) }) {
                    batch[index].extents.append(extent)
                } else {
                    batch.append(
                        Part(layer: entry.layer, attempts: entry.attempts, source: source, extents: [extent]))
                }
            }
        }
        hintQueue.prepend(later)
        takeAlong(&batch, taken: &taken, now: now)
        return batch
    }

    /// Adds the last few extents of a layer to the batch. If a layer's extents in the hint queue make up at most 1/32
    /// of the batch size, moves them to the layer's part of the batch. A separate request would take more time than the
    /// transfer of so few bytes.
    private mutating func takeAlong(_ batch: inout [Part], taken: inout Set<ExtentKey>, now: MonotonicTime) {
        let queue = hintQueue.removeAll()
        var left: [LayerID: UInt64] = [:]
        for entry in queue where batch.contains(where: { $0.layer == entry.layer }) {
            guard let layer = layers[entry.layer] else { continue }
            for extent in entry.extents where layer.isOpen(extent) {
                left[entry.layer, default: 0] &+= layer.map.blobRange(of: extent).count
            }
        }
        let rest = queue.filter { entry in
            guard let layer = layers[entry.layer], left[entry.layer] ?? .max <= hintBatch / 32,
                entry.notBefore <= now, let index = batch.firstIndex(where: { $0.takes(entry) })
            else { return true }
            for extent in entry.extents where layer.isOpen(extent) {
                guard taken.insert(ExtentKey(layer: entry.layer, extent: extent)).inserted else { continue }
                batch[index].extents.append(extent)
            }
            return false
        }
        hintQueue.prepend(rest)
    }

    /// Returns the runs for a part. Each run becomes one request. If one run suffices, its extents are in the order of
    /// first use. Otherwise the extents of all runs are in the order of the blob, which needs fewer requests.
    private func runs(of part: Part) -> [ExtentRun] {
        guard let layer = layers[part.layer] else { return [] }
        let (gap, limit) = rangesApart(for: layer.host)
        let inOrder = runs(of: part.extents, layer, gap: gap, ranges: limit)
        // In the order of the blob, more extents are adjacent, so they need fewer ranges and requests.
        return inOrder.count <= 1 ? inOrder : runs(of: part.extents.sorted(), layer, gap: gap, ranges: limit)
    }

    /// Divides `extents` into runs, in the order of `extents`.
    ///
    /// - Parameters:
    ///   - gap: the largest distance in bytes between two extents that share a requested range.
    ///   - ranges: the maximum number of requested ranges in one run.
    private func runs(of extents: [Int], _ layer: LayerState, gap: UInt64, ranges: Int) -> [ExtentRun] {
        var runs: [ExtentRun] = []
        var run = ExtentRun()
        let named = Set(extents)
        var left = named
        for extent in extents where left.contains(extent) {
            let range = layer.map.blobRange(of: extent)
            var gap = gap
            if let last = run.segments.last, !run.needsNewRange(for: range, gap: gap) {
                let between = last.upperBound..<extent
                if between.contains(where: { named.contains($0) && !left.contains($0) }) {
                    // An extent in between is already part of a run, and must not be fetched twice.
                    gap = 0
                } else {
                    // The request brings the bytes in between anyway, so add the extents there now.
                    for other in between where left.remove(other) != nil {
                        run.append(other, at: layer.map.blobRange(of: other), gap: gap)
                    }
                }
            }
            if run.ranges.count >= ranges, run.needsNewRange(for: range, gap: gap) {
                runs.append(run)
                run = ExtentRun()
            }
            run.append(extent, at: range, gap: gap)
            left.remove(extent)
        }
        if !run.isEmpty { runs.append(run) }
        return runs
    }
}
