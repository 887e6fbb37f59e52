import Base
import Synchronization

/// Chunks in memory that the disk did not take: it is full, read-only or failing, or the quota is used up. The chunks
/// are verified. Readers that wait for them are served from here.
///
/// A chunk stays for a while, because one chunk usually answers many small reads. The oldest chunks give way to new
/// ones.
final class UnstoredChunks: Sendable {
    private struct Key: Hashable {
        let layer: Digest
        let chunk: Int
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

    private let limit: Int
    private let state = Guarded(State())
    /// The number of chunks, which readers look at without the lock.
    private let count = Atomic<Int>(0)
    /// The number of chunks that were ever added.
    let added = Counter()

    /// - Parameter limit: the maximum size of all chunks together in bytes. A single larger chunk is kept alone.
    init(limit: Int) {
        self.limit = limit
    }

    /// True if there is no chunk.
    var isEmpty: Bool { count.load(ordering: .acquiring) == 0 }

    /// The size of all chunks together in bytes.
    var byteCount: Int { state.withLock { $0.bytes } }

    /// Adds a chunk of the layer with the key ID `layer`. Removes the oldest chunks if there are too many bytes.
    func add(_ chunk: Int, of layer: Digest, _ bytes: [UInt8], now: MonotonicTime = .now()) {
        added.add()
        state.withLock { state in
            let key = Key(layer: layer, chunk: chunk)
            state.bytes += bytes.count - (state.entries[key]?.bytes.count ?? 0)
            state.entries[key] = Entry(bytes: bytes, time: now)
            state.order.append((key, now))
            while state.bytes > limit, state.entries.count > 1 { Self.removeOldest(&state) }
            count.store(state.entries.count, ordering: .releasing)
        }
    }

    /// Returns the bytes of a chunk; `nil` if it is not here.
    func bytes(_ chunk: Int, of layer: Digest) -> [UInt8]? {
        guard !isEmpty else { return nil }
        return state.withLock { $0.entries[Key(layer: layer, chunk: chunk)]?.bytes }
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
