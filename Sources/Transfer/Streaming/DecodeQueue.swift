import Base
import NIOCore
import Planner

/// Something whose bytes have all arrived.
struct DecodeJob: Sendable {
    enum Work: Sendable {
        /// An extent of a layer.
        case extent(AttachedLayer, Int)
        /// A frame of a startup pack.
        case frame(PackFrame)
    }

    let work: Work
    /// The compressed bytes, as slices of the network's own buffers: they are not copied before they are decoded.
    let pieces: [ByteBuffer]
    let byteCount: Int

    func isExtent(_ extent: Int, of layer: LayerID) -> Bool {
        guard case .extent(let own, let number) = work else { return false }
        return own.id == layer && number == extent
    }
}

/// Between the connections and the decoding threads: two lanes, readers' first, each bounded in bytes.
final class DecodeQueue: Sendable {
    private struct Lane {
        var jobs = FIFO<DecodeJob>()
        var bytes = 0
        /// Connections that are not read from until there is room.
        var waiting = FIFO<CheckedContinuation<Void, Never>>()

        mutating func take() -> DecodeJob? {
            guard let job = jobs.popFirst() else { return nil }
            bytes -= job.byteCount
            return job
        }
    }

    private struct State {
        var awaited = Lane()
        var other = Lane()
        var isClosed = false
    }

    private let state = Guarded(State())
    private let limit: Int

    /// `limit`: bytes that each lane holds; one job that is larger still passes when its lane is empty.
    init(limit: Int) {
        self.limit = limit
    }

    /// Hands a job over; returns when the lane has room for more, and whether that took waiting. A job that comes after
    /// ``close()`` is dropped.
    func append(_ job: DecodeJob, awaited: Bool) async -> Bool {
        let isFull = state.withLockSignalling { state -> Bool in
            guard !state.isClosed else { return false }
            if awaited {
                state.awaited.jobs.append(job)
                state.awaited.bytes += job.byteCount
                return state.awaited.bytes > limit
            }
            state.other.jobs.append(job)
            state.other.bytes += job.byteCount
            return state.other.bytes > limit
        }
        guard isFull else { return false }
        await withCheckedContinuation { continuation in
            let hasRoom = state.withLock { state -> Bool in
                let bytes = awaited ? state.awaited.bytes : state.other.bytes
                guard !state.isClosed, bytes > limit else { return true }
                if awaited {
                    state.awaited.waiting.append(continuation)
                } else {
                    state.other.waiting.append(continuation)
                }
                return false
            }
            if hasRoom { continuation.resume() }
        }
        return true
    }

    /// Blocks the calling thread until there is a job; `nil` when the queue has been closed.
    func take() -> DecodeJob? {
        let (job, waiting) = state.waitUntil { state -> (DecodeJob?, [CheckedContinuation<Void, Never>])? in
            guard !state.isClosed else { return (nil, []) }
            guard let job = state.awaited.take() ?? state.other.take() else { return nil }
            var waiting: [CheckedContinuation<Void, Never>] = []
            if state.awaited.bytes <= limit { waiting += state.awaited.waiting.removeAll() }
            if state.other.bytes <= limit { waiting += state.other.waiting.removeAll() }
            return (job, waiting)
        }
        for continuation in waiting { continuation.resume() }
        return job
    }

    /// Bytes that wait.
    var byteCount: Int { state.withLock { $0.awaited.bytes + $0.other.bytes } }

    /// A reader waits for this extent now: it moves to the readers' lane if it is still here.
    func expedite(_ layer: LayerID, _ extent: Int) {
        state.withLock { state in
            guard let job = state.other.jobs.remove(where: { $0.isExtent(extent, of: layer) }) else {
                return
            }
            state.other.bytes -= job.byteCount
            state.awaited.jobs.append(job)
            state.awaited.bytes += job.byteCount
        }
    }

    /// Drops what waits and lets everybody go.
    func close() {
        let waiting = state.withLockBroadcasting { state -> [CheckedContinuation<Void, Never>] in
            state.isClosed = true
            _ = state.awaited.jobs.removeAll()
            _ = state.other.jobs.removeAll()
            return state.awaited.waiting.removeAll() + state.other.waiting.removeAll()
        }
        for continuation in waiting { continuation.resume() }
    }
}
