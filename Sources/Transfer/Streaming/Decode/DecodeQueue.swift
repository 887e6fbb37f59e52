import Base
import Concurrency
import Planner

/// The queue of compressed data between network connections and decoding threads.
///
/// The queue has two lanes, each with a limit in bytes. The awaited lane holds the extents (decodable pieces of a blob)
/// that readers wait for, and the frames of startup packs. The other lane holds all other extents. The threads take
/// jobs from the other lane only while the awaited lane is empty.
final class DecodeQueue: Sendable {
    private struct Lane {
        var jobs = FIFO<DecodeJob>()
        var bytes = 0
        /// One signal for each receiver that waits until the lane is within its limit. Meanwhile, the receiver does not
        /// read its connection.
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
        /// The lane for the extents that readers wait for, and for the frames of startup packs.
        var awaited = Lane()
        var other = Lane()
        var isClosed = false
    }

    private let state = Guarded(State())
    private let limit: Int

    /// Creates a queue whose lanes each have a limit of `limit` bytes. A lane that exceeds the limit still accepts
    /// jobs, but then ``append(_:awaited:)`` waits until the lane is within the limit again.
    init(limit: Int) {
        self.limit = limit
    }

    /// Appends a job, and returns once the job's lane is within its limit. A closed queue drops the job.
    ///
    /// - Parameter awaited: true for a job of the awaited lane.
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

    /// Removes and returns the next job. Blocks the calling thread while both lanes are empty. Returns `nil` once the
    /// queue is closed.
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

    /// Moves a queued extent to the awaited lane, because a reader now waits for it. Does nothing if the extent is
    /// already in that lane or not in the queue.
    func expedite(_ layer: LayerID, _ extent: Int) {
        state.withLock { state in
            guard let job = state.other.jobs.remove(where: { $0.isExtent(extent, of: layer) }) else {
                return
            }
            state.other.bytes -= job.byteCount
            state.awaited.append(job)
        }
    }

    /// Closes the queue. Drops all jobs, and wakes all waiting receivers and decoding threads.
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
