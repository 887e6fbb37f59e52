import Base

/// A clock that stands until the test turns it.
final class ManualClock: Clock {
    struct Instant: InstantProtocol {
        var offset: Duration

        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }

    private struct Sleeper {
        var deadline: Instant
        var continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now = Instant(offset: .zero)
        var sleepers: [Int: Sleeper] = [:]
        var cancelled: Set<Int> = []
        var nextID = 0
        /// Who waits for the sleepers to be there: the length of their sleep, and how many of them.
        var watchers: [(duration: Duration, count: Int, continuation: CheckedContinuation<Void, Never>)] = []

        mutating func satisfiedWatchers() -> [CheckedContinuation<Void, Never>] {
            let satisfied = watchers.filter { sleeping($0.duration) >= $0.count }
            let unsatisfied = watchers.filter { sleeping($0.duration) < $0.count }
            watchers = unsatisfied
            return satisfied.map(\.continuation)
        }

        func sleeping(_ duration: Duration) -> Int {
            sleepers.values.count { $0.deadline.offset - now.offset == duration }
        }
    }

    private let state = Guarded(State())

    var now: Instant { state.withLock { $0.now } }
    var minimumResolution: Duration { .nanoseconds(1) }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let (watchers, isCancelled) = state.withLock { state -> ([CheckedContinuation<Void, Never>], Bool) in
                    if state.cancelled.remove(id) != nil { return ([], true) }
                    state.sleepers[id] = Sleeper(deadline: deadline, continuation: continuation)
                    return (state.satisfiedWatchers(), false)
                }
                if isCancelled { continuation.resume(throwing: CancellationError()) }
                for watcher in watchers { watcher.resume() }
            }
        } onCancel: {
            let sleeper = state.withLock { state -> Sleeper? in
                if let sleeper = state.sleepers.removeValue(forKey: id) { return sleeper }
                state.cancelled.insert(id)
                return nil
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Lets time pass, and wakes those whose time has come.
    func advance(by duration: Duration) {
        let due = state.withLock { state -> [Sleeper] in
            let now = state.now.advanced(by: duration)
            state.now = now
            let due = state.sleepers.filter { $0.value.deadline <= now }
            for id in due.keys { state.sleepers[id] = nil }
            return Array(due.values)
        }
        for sleeper in due { sleeper.continuation.resume() }
    }

    /// Waits until `count` tasks sleep that have `duration` before them.
    func untilSleeping(for duration: Duration, count: Int = 1) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isThere = state.withLock { state -> Bool in
                if state.sleeping(duration) >= count { return true }
                state.watchers.append((duration, count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}
