public import Base
import Concurrency
import Linux
import SystemPackage

extension ContentStore {
    /// The state of the store's space at one moment.
    public struct SpaceState: Sendable, Equatable {
        public let measurement: SpacePolicy.Measurement
        /// False while background fill must stop, so that it does not fill the disk or the quota.
        public let isFillAllowed: Bool
        /// The number of bytes that were evicted to come back below the limits.
        public let evictedBytes: UInt64
    }

    /// The time after which the files of the store are measured again, in nanoseconds. Between two measurements, the
    /// store counts what it writes and frees.
    private static let measurementLifetime: UInt64 = 300_000_000_000
    /// The least time between two measurements, in nanoseconds, if there is a shortage and nothing to evict.
    private static let shortestMeasurementLifetime: UInt64 = 10_000_000_000
    /// The time between two evictions of unused chunks, in nanoseconds.
    private static let unusedInterval: UInt64 = 60_000_000_000

    /// The bytes that layers and merged trees occupy on the disk.
    public var usedBytes: UInt64 {
        let measured = measured.withLock { $0 }
        return space.used(measured.bytes, at: measured.mark)
    }

    /// Keeps the store within its limits (``SpacePolicy``): evicts chunks if necessary, and sets how much the store may
    /// write until the next call. Waits for the disk.
    ///
    /// - Parameter refused: the size of a write that was refused, in bytes.
    package func keepSpace(refused: UInt64 = 0) -> SpaceState {
        evictionLock.withLock {
            var (decision, measurement) = decide(refused: refused)
            var freed: UInt64 = 0
            if decision.evicted > 0, decision.evictsUsed || isTimeToEvictUnused() {
                freed = evict(decision.evicted, passes: decision.evictsUsed ? 2 : 1)
                (decision, measurement) = decide(refused: 0)
            }
            unstored.removeExpired()
            return SpaceState(
                measurement: measurement, isFillAllowed: decision.isFillAllowed, evictedBytes: freed)
        }
    }

    /// Returns true at most once in ``unusedInterval``. Chunks must have the time to be read again: the kernel caches
    /// what containers use all the time, and the store does not see these reads.
    private func isTimeToEvictUnused() -> Bool {
        let now = MonotonicTime.now()
        return lastEviction.withLock { last in
            if let last, now.since(last) < Self.unusedInterval { return false }
            last = now
            return true
        }
    }

    /// Applies the policy to the current use of the disk and of the store. The caller holds ``evictionLock``.
    private func decide(refused: UInt64) -> (SpacePolicy.Decision, SpacePolicy.Measurement) {
        let lifetime = refused > 0 ? Self.shortestMeasurementLifetime : Self.measurementLifetime
        let last = measured.withLock { $0 }
        if last.isStale || MonotonicTime.now().since(last.time) > lifetime { measure() }
        let mark = space.mark()
        let disk = try? Sys.statfs(root)
        let measurement = SpacePolicy.Measurement(
            disk: (disk?.blocks ?? 0).times(disk?.blockSize ?? 0),
            available: (disk?.availableBlocks ?? 0).times(disk?.blockSize ?? 0),
            cache: usedBytes, refused: refused)
        let decision =
            policy.withLock { $0?.decide(measurement) }
            ?? SpacePolicy.Decision(headroom: .max, evicted: 0, evictsUsed: false, isFillAllowed: true)
        space.allow(decision.headroom, from: mark)
        return (decision, measurement)
    }

    /// Measures the space that the files of the store occupy. If that fails, the last measurement stays.
    package func measure() {
        // What is removed from here on makes the measurement stale again.
        measured.withLock { $0.isStale = false }
        let mark = space.mark()
        guard let layers = try? listLayers(), let chains = try? listChains() else { return }
        let bytes = (layers + chains).reduce(0) { $0 + $1.allocatedBytes }
        measured.withLock { measured in
            measured = SpaceMeasurement(bytes: bytes, mark: mark, time: .now(), isStale: measured.isStale)
        }
    }

    /// Takes the space for `count` bytes that the store needs to work, such as the index of a new layer. Evicts chunks
    /// if there is not enough space.
    ///
    /// The caller must not hold the lock of a layer or chain.
    func makeRoom(for count: UInt64, _ what: @autoclosure () -> String) throws(ContentStoreError) {
        if space.take(count) { return }
        _ = keepSpace(refused: count)
        guard space.take(count) else {
            throw ContentStoreError(.noSpace, "no space for \(what()): the disk or the quota of the cache is full")
        }
    }

    // MARK: Eviction

    /// Evicts chunks until they occupied `goal` bytes of the disk. The caller holds ``evictionLock``.
    ///
    /// First come the layers that nothing has open, in the order in which content was last added to them. Then come the
    /// chunks of open layers that were not read since the last eviction passed them, and last all others.
    ///
    /// - Parameter passes: 1 to evict no chunk that was read since the last eviction passed it, otherwise 2.
    /// - Returns: the number of bytes that were freed. It is less than `goal` if there is not enough to evict, or if
    ///   the disk fails.
    private func evict(_ goal: UInt64, passes: Int) -> UInt64 {
        var freed: UInt64 = 0
        func evict(from layer: StoredLayer) {
            // A layer that fails must not keep the others from making room.
            guard freed < goal, let bytes = try? layer.evict(goal - freed) else { return }
            freed += bytes
            space.free(bytes)
        }
        for key in closedLayers() where freed < goal {
            if let layer = try? layer(key) { evict(from: layer) }
        }
        // In the first pass, chunks that were read only lose their mark.
        for _ in 0..<passes where freed < goal {
            let layers = layers.open.sorted { $0.key.id < $1.key.id }
            guard !layers.isEmpty else { break }
            // Every eviction begins with another layer, so that none pays for all.
            let first = Int(evictions.value % UInt64(layers.count))
            evictions.add()
            for layer in layers[first...] + layers[..<first] { evict(from: layer) }
        }
        evictedBytes.add(freed)
        return freed
    }

    /// Returns the keys of the layers that nothing has open and that have content. The layer whose content has changed
    /// least recently comes first.
    private func closedLayers() -> [LayerKey] {
        let closed = allKeys.filter { layers.find($0.id) == nil }.compactMap {
            key -> (key: LayerKey, changed: Int64)? in
            guard let status = try? Sys.lstat(layerDirectory(key) + "/content"), status.allocatedBytes > 0 else {
                return nil
            }
            return (key, status.modifiedSeconds)
        }
        return closed.sorted { $0.changed < $1.changed }.map(\.key)
    }

    // MARK: Figures

    /// The figures of the store's space, for metrics.
    public var metrics: [MetricFamily] {
        [
            .gauge("cache_bytes", Double(usedBytes), help: "Bytes that layers and merged trees occupy on the disk."),
            .counter("evicted_bytes_total", evictedBytes.value, help: "Bytes that were evicted to make room."),
            .counter(
                "unstored_chunks_total", unstored.added.value,
                help: "Chunks served from memory because the disk or the quota was full, or because the disk failed."),
            .gauge("open_layer_files", files.count, help: "Files of layers that are open."),
            .gauge("unstored_bytes", unstored.byteCount, help: "Bytes of chunks in memory that could not be stored."),
        ]
    }
}

/// A measurement of the bytes that layers and merged trees occupy.
struct SpaceMeasurement: Sendable {
    let bytes: UInt64
    /// The changes that the measurement includes.
    let mark: CacheSpace.Mark
    let time: MonotonicTime
    /// True if layers or chains were removed since.
    var isStale = false
}
