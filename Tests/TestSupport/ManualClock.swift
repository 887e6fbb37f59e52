public import Base
public import Concurrency

/// A clock that moves only when the test advances it.
public final class ManualClock: TimeSource {
    private struct Sleeper {
        var deadline: MonotonicTime
        var woken: OneShot<Void>
    }

    private struct Watcher {
        var duration: Duration
        var count: Int
        var satisfied: OneShot<Void>
    }

    private struct State {
        var now: MonotonicTime
        var sleepers: [Int: Sleeper] = [:]
        var nextID = 0
        var watchers: [Watcher] = []

        func sleeping(_ duration: Duration) -> Int {
            sleepers.values.count { now.duration(to: $0.deadline) == duration }
        }

        mutating func takeSatisfied() -> [Watcher] {
            let all = watchers
            watchers = all.filter { sleeping($0.duration) < $0.count }
            return all.filter { sleeping($0.duration) >= $0.count }
        }
    }

    private let state: Guarded<State>
    private let start: MonotonicTime
    private let startDate: Int64

    /// Creates a clock.
    ///
    /// - Parameters:
    ///   - start: the time that the clock shows at first.
    ///   - date: the date at that time, in seconds since 1970; by default 2024-01-01T00:00:00Z.
    public init(start: MonotonicTime = MonotonicTime(nanoseconds: 1_000_000_000), date: Int64 = 1_704_067_200) {
        self.start = start
        startDate = date * 1_000_000_000
        state = Guarded(State(now: start))
    }

    public var now: MonotonicTime { state.withLock { $0.now } }

    public var minimumResolution: Duration { .nanoseconds(1) }

    public var nanosecondsSince1970: Int64 { startDate + Int64(now.since(start)) }

    /// The number of tasks that are sleeping.
    public var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// Returns the number of tasks that sleep for just this duration from now on.
    public func sleeperCount(for duration: Duration) -> Int { state.withLock { $0.sleeping(duration) } }

    public func sleep(until deadline: MonotonicTime, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        let woken = OneShot<Void>()
        let (id, satisfied) = state.withLock { state -> (Int?, [Watcher]) in
            guard state.now < deadline else { return (nil, []) }
            state.nextID += 1
            state.sleepers[state.nextID] = Sleeper(deadline: deadline, woken: woken)
            return (state.nextID, state.takeSatisfied())
        }
        guard let id else { return }
        for watcher in satisfied { watcher.satisfied.fulfill() }
        defer { state.withLock { _ = $0.sleepers.removeValue(forKey: id) } }
        try await woken.wait()
    }

    /// Advances the clock, and wakes the tasks whose deadline has come, earliest deadline first.
    public func advance(by duration: Duration) {
        let due = state.withLock { state -> [Sleeper] in
            let now = state.now.advanced(by: duration)
            state.now = now
            let due = state.sleepers.filter { $0.value.deadline <= now }
            for id in due.keys { state.sleepers[id] = nil }
            return due.sorted { ($0.value.deadline, $0.key) < ($1.value.deadline, $1.key) }.map(\.value)
        }
        for sleeper in due { sleeper.woken.fulfill() }
    }

    /// Waits until at least `count` tasks are sleeping that have exactly `duration` left.
    public func untilSleeping(for duration: Duration, count: Int = 1) async {
        let satisfied = OneShot<Void>()
        let isThere = state.withLock { state -> Bool in
            if state.sleeping(duration) >= count { return true }
            state.watchers.append(Watcher(duration: duration, count: count, satisfied: satisfied))
            return false
        }
        if !isThere { await satisfied.value }
    }
}
