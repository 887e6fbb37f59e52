import Base

/// What is known to be needed, fetched in the order of its first use with few requests.
extension Planner {
    /// Starts the next batch when little of the ones before is still to come.
    mutating func startProfile(_ now: MonotonicTime) {
        while !profileQueue.isEmpty, hasRoom(.profile, now), profileBytesLeft <= profileLead {
            let batch = takeBatch(now)
            guard !batch.isEmpty else { return }
            for part in batch {
                for run in runs(of: part) {
                    for extent in run.segments.joined() { note(extent, part) }
                    start(run, part.layer, .profile, attempts: part.attempts, isPredicted: part.isPredicted, now)
                }
            }
            profileBatch = min(profileBatch &* configuration.profileBatchGrowth, configuration.runLimit.profile)
            if batch.contains(where: { !$0.isPredicted }) { profileGoesOn(now) }
        }
        // More of the same start may follow while something of it is on its way.
        if profileQueue.isEmpty, profileBytesLeft == 0 { profileBatch = configuration.profileFirstBatch }
    }

    /// Keeps account of an extent that is fetched for a profile, or because it was predicted.
    private mutating func note(_ extent: Int, _ part: Part) {
        let bytes = layers[part.layer]?.map.blobRange(of: extent).count ?? 0
        if part.isPredicted {
            layers[part.layer]?.marks[extent].insert(.predicted)
            layers[part.layer]?.foresight.predicted()
            statistics.predictedBytes += bytes
        } else {
            layers[part.layer]?.marks[extent].insert(.profiled)
            statistics.profiledBytes += bytes
        }
    }

    /// A profile says what is read of its layers, for a while longer.
    mutating func profileGoesOn(_ now: MonotonicTime) {
        // At most so often: it is told for each extent, and a node has hundreds of layers.
        guard now.since(profileNoted) >= configuration.profileQuiet / 8 else { return }
        profileNoted = now
        for id in Array(layers.keys) where layers[id]?.profiledUntil ?? now > now {
            layers[id]?.profiledUntil = now.advanced(by: configuration.profileQuiet)
            if isKnown(id, now: now) { knowsStart(of: [id], now: now) }
        }
    }

    /// What profiles' requests still have to bring.
    private var profileBytesLeft: UInt64 {
        requests.values.reduce(0) { $1.startedAs == .profile ? $0 &+ $1.bytesLeft : $0 }
    }

    private var profileLead: UInt64 {
        min(max(configuration.profileAhead, pace.bytesWhileAnswering), configuration.byteLimit.profile)
    }

    /// What a batch has of one layer, in the order of first use.
    private struct Part {
        let layer: LayerID
        let attempts: Int
        let isPredicted: Bool
        var extents: [Int] = []

        func takes(_ entry: BackgroundEntry) -> Bool {
            layer == entry.layer && attempts == entry.attempts && isPredicted == entry.isPredicted
        }
    }

    /// The next open extents of the queue, up to a batch.
    private mutating func takeBatch(_ now: MonotonicTime) -> [Part] {
        var batch: [Part] = []
        var later: [BackgroundEntry] = []
        var bytes: UInt64 = 0
        // Two entries may name the same extent.
        var taken: Set<ExtentKey> = []
        while bytes < profileBatch, let entry = profileQueue.popFirst() {
            guard let layer = layers[entry.layer] else { continue }
            guard mayFetch(entry.layer, notBefore: entry.notBefore, now) else {
                later.append(entry)
                continue
            }
            for extent in entry.extents where layer.isOpen(extent) {
                guard bytes < profileBatch else {
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
                        Part(
                            layer: entry.layer, attempts: entry.attempts, isPredicted: entry.isPredicted,
                            extents: [extent]))
                }
            }
        }
        profileQueue.prepend(later)
        takeAlong(&batch, &taken, now)
        return batch
    }

    /// Where little else is queued of a layer of the batch, it comes along: a request of its own costs more than the wait for it.
    private mutating func takeAlong(_ batch: inout [Part], _ taken: inout Set<ExtentKey>, _ now: MonotonicTime) {
        let queue = profileQueue.removeAll()
        var left: [LayerID: UInt64] = [:]
        for entry in queue where batch.contains(where: { $0.layer == entry.layer }) {
            guard let layer = layers[entry.layer] else { continue }
            for extent in entry.extents where layer.isOpen(extent) {
                left[entry.layer, default: 0] &+= layer.map.blobRange(of: extent).count
            }
        }
        let rest = queue.filter { entry in
            guard let layer = layers[entry.layer], left[entry.layer] ?? .max <= profileBatch / 32,
                entry.notBefore <= now, let index = batch.firstIndex(where: { $0.takes(entry) })
            else { return true }
            for extent in entry.extents where layer.isOpen(extent) {
                guard taken.insert(ExtentKey(layer: entry.layer, extent: extent)).inserted else { continue }
                batch[index].extents.append(extent)
            }
            return false
        }
        profileQueue.prepend(rest)
    }

    /// The requests for a part: one where the host gives several ranges and they are not too many, in the order of first
    /// use if that is not what makes them too many.
    private func runs(of part: Part) -> [Run] {
        guard let layer = layers[part.layer] else { return [] }
        let (gap, limit) = rangesApart(for: layer.host)
        let inOrder = runs(of: part.extents, layer, gap: gap, ranges: limit)
        // Ascending, more of them lie side by side.
        return inOrder.count <= 1 ? inOrder : runs(of: part.extents.sorted(), layer, gap: gap, ranges: limit)
    }

    private func runs(of extents: [Int], _ layer: LayerState, gap: UInt64, ranges: Int) -> [Run] {
        var runs: [Run] = []
        var run = Run()
        let wanted = Set(extents)
        var left = wanted
        for extent in extents where left.contains(extent) {
            let range = layer.map.blobRange(of: extent)
            var gap = gap
            if let last = run.segments.last, !run.needsNewRange(for: range, gap: gap) {
                let between = last.upperBound..<extent
                if between.contains(where: { wanted.contains($0) && !left.contains($0) }) {
                    // Something in the gap has had its turn: it must not come twice.
                    gap = 0
                } else {
                    // What lies in the gap comes with it, so now is its turn.
                    for other in between where left.remove(other) != nil {
                        run.append(other, layer.map.blobRange(of: other), gap: gap)
                    }
                }
            }
            if run.ranges.count >= ranges, run.needsNewRange(for: range, gap: gap) {
                runs.append(run)
                run = Run()
            }
            run.append(extent, range, gap: gap)
            left.remove(extent)
        }
        if !run.isEmpty { runs.append(run) }
        return runs
    }
}
