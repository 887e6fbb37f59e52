import Base
import Synchronization

/// Chunks in memory that the disk did not take: it is full, read-only or failing, or the quota is used up. The chunks
/// are verified. Readers that wait for them are served from here.
///
/// A chunk stays for a while, because one chunk usually answers many small reads. The oldest chunks give way to new
/// ones.
final class UnstoredChunks: Sendable {
    /// The identity of a chunk. A chunk is served only to readers of the layer for which it was fetched, because the
    /// rights to another layer may be different.
    struct Key: Hashable {
        /// The layer's ``LayerKey/id``.
        let layer: Digest
        /// The digest of the chunk's bytes.
        let digest: Digest
    }

    private struct Entry {
        let bytes: [UInt8]
        let time: MonotonicTime
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var order = FIFO<(key: Key, time: MonotonicTime)>()
        var bytes = 0
    }

    /// The time after which a chunk is removed, in nanoseconds.
    private static let lifetime: UInt64 = 30_000_000_000

    /// The time for which a chunk is removed only if all chunks take twice the limit, in nanoseconds. A reader may wait
    /// for a second chunk, which needs another request.
    private static let protection: UInt64 = 1_000_000_000

    private let limit: Int
    private let state = Guarded(State())
    /// The number of chunks, which readers look at without the lock.
    private let count = Atomic<Int>(0)
    /// The number of chunks that were ever added.
    let added = Counter()

    /// - Parameter limit: the maximum size of all chunks together in bytes. Chunks that were just added may take twice
    ///   as much, and the latest two are always kept.
    init(limit: Int) {
        self.limit = limit
    }

    /// True if there is no chunk.
    var isEmpty: Bool { count.load(ordering: .acquiring) == 0 }

    /// The size of all chunks together in bytes.
    var byteCount: Int { state.withLock { $0.bytes } }

    /// Adds a chunk. Removes the oldest chunks if there are too many bytes.
    func add(_ key: Key, _ bytes: [UInt8], now: MonotonicTime = .now()) {
        added.add()
        state.withLock { state in
            state.bytes += bytes.count - (state.entries[key]?.bytes.count ?? 0)
            state.entries[key] = Entry(bytes: bytes, time: now)
            state.order.append((key, now))
            while state.entries.count > 2, let oldest = state.order.first,
                state.bytes > limit && now.since(oldest.time) > Self.protection || state.bytes > 2 * limit
            {
                Self.removeOldest(&state)
            }
            count.store(state.entries.count, ordering: .releasing)
        }
    }

    /// Returns the bytes of a chunk; `nil` if it is not here.
    func bytes(_ key: Key) -> [UInt8]? {
        guard !isEmpty else { return nil }
        return state.withLock { $0.entries[key]?.bytes }
    }

    /// Removes the chunks that were added too long ago.
    func removeExpired(now: MonotonicTime = .now()) {
        guard !isEmpty else { return }
        state.withLock { state in
            while let oldest = state.order.first, now.since(oldest.time) > Self.lifetime { Self.removeOldest(&state) }
            count.store(state.entries.count, ordering: .releasing)
        }
    }

    private static func removeOldest(_ state: inout State) {
        guard let oldest = state.order.popFirst(), let entry = state.entries[oldest.key], entry.time == oldest.time
        else { return }
        state.entries[oldest.key] = nil
        state.bytes -= entry.bytes.count
    }
}
