import Base

/// The planner's next wake-up time. ``run(_:)`` is the body of the thread that waits for this time.
final class Alarm: Sendable {
    private struct State {
        var time: MonotonicTime?
        var isChanged = false
        var isClosed = false
    }

    private let state = Guarded(State())

    /// Schedules a wake-up at `time`, unless an earlier wake-up is scheduled.
    func set(_ time: MonotonicTime) {
        state.withLockSignalling { state in
            if let set = state.time, set <= time { return }
            state.time = time
            state.isChanged = true
        }
    }

    func close() {
        state.withLockBroadcasting { $0.isClosed = true }
    }

    /// Calls `ring` at each scheduled time. Returns after ``close()``.
    func run(_ ring: () -> Void) {
        while true {
            let (time, isClosed) = state.withLock { state in
                state.isChanged = false
                return (state.time, state.isClosed)
            }
            if isClosed { return }
            let now = MonotonicTime.now()
            if let time, time <= now {
                state.withLock { $0.time = nil }
                ring()
                continue
            }
            // Without a scheduled time, the thread sleeps until one is set. The timeout of an hour is arbitrary: it
            // only repeats the loop.
            _ = state.waitUntil(timeout: time?.since(now) ?? 3_600_000_000_000) { state in
                state.isClosed || state.isChanged ? true : nil
            }
        }
    }
}
