import Base
import Concurrency
import Planner

/// The queue between connections and decoding threads.
///
/// The queue has two lanes, each bounded in bytes. The readers' lane holds the extents that readers wait for, and the
/// frames of startup packs. The threads take jobs from the other lane only while the readers' lane is empty.
final class DecodeQueue: Sendable {
    private struct Lane {
        var jobs = FIFO<DecodeJob>()
        var bytes = 0
        /// The receivers that wait until the lane has room. Meanwhile they do not read their connections.
        var waiting = FIFO<OneShot<Void>>()

        mutating func append(_ job: DecodeJob) {
            jobs.append(job)
            bytes += job.byteCount
        }

        mutating func take() -> DecodeJob? {
            guard let job = jobs.popFirst() else { return nil }
            bytes -= job.byteCount
            return job
        }
    }

    private struct State {
        /// The readers' lane.
        var awaited = Lane()
        var other = Lane()
        var isClosed = false
    }

    private let state = Guarded(State())
    private let limit: Int

    /// Creates a queue. A lane accepts every job, but ``append(_:awaited:)`` waits while the lane holds more than
    /// `limit` bytes.
    init(limit: Int) {
        self.limit = limit
    }

    /// Appends a job, and returns once the job's lane is within its limit. A closed queue drops the job.
    ///
    /// - Parameter awaited: true to use the readers' lane.
    ///
    /// - Returns: true if the caller had to wait.
    func append(_ job: DecodeJob, awaited: Bool) async -> Bool {
        let lane = awaited ? \State.awaited : \State.other
        let isFull = state.withLockSignalling { state -> Bool in
            guard !state.isClosed else { return false }
            state[keyPath: lane].append(job)
            return state[keyPath: lane].bytes > limit
        }
        guard isFull else { return false }
        let room = OneShot<Void>()
        state.withLock { state in
            guard !state.isClosed, state[keyPath: lane].bytes > limit else {
                room.fulfill()
                return
            }
            state[keyPath: lane].waiting.append(room)
        }
        await room.value
        return true
    }

    /// Removes and returns the next job. Blocks the calling thread until there is one; returns `nil` if the queue is
    /// closed.
    func take() -> DecodeJob? {
        let (job, waiting) = state.waitUntil { state -> (DecodeJob?, [OneShot<Void>])? in
            guard !state.isClosed else { return (nil, []) }
            guard let job = state.awaited.take() ?? state.other.take() else { return nil }
            var waiting: [OneShot<Void>] = []
            if state.awaited.bytes <= limit { waiting += state.awaited.waiting.removeAll() }
            if state.other.bytes <= limit { waiting += state.other.waiting.removeAll() }
            return (job, waiting)
        }
        for room in waiting { room.fulfill() }
        return job
    }

    /// The number of queued bytes in both lanes.
    var byteCount: Int { state.withLock { $0.awaited.bytes + $0.other.bytes } }

    /// Moves a queued extent to the readers' lane, because a reader now waits for it. Does nothing if the extent is not
    /// in the other lane.
    func expedite(_ layer: LayerID, _ extent: Int) {
        state.withLock { state in
            guard let job = state.other.jobs.remove(where: { $0.isExtent(extent, of: layer) }) else {
                return
            }
            state.other.bytes -= job.byteCount
            state.awaited.append(job)
        }
    }

    /// Drops all jobs and releases all waiters.
    func close() {
        let waiting = state.withLockBroadcasting { state -> [OneShot<Void>] in
            state.isClosed = true
            _ = state.awaited.jobs.removeAll()
            _ = state.other.jobs.removeAll()
            return state.awaited.waiting.removeAll() + state.other.waiting.removeAll()
        }
        for room in waiting { room.fulfill() }
    }
}
