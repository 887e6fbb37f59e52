import Base

/// The planner's next wake-up time, and the body of the thread that waits for it.
final class Alarm: Sendable {
    private struct State {
        var time: MonotonicTime?
        var isChanged = false
        var isClosed = false
    }

    private let state = Guarded(State())

    /// Schedules a wake-up at `time`, unless an earlier one is scheduled.
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

    /// Calls `ring` at each scheduled time, until ``close()``.
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
            // Without a scheduled time, sleeps until there is one. The timeout of an hour is arbitrary: it only repeats
            // the loop.
            _ = state.waitUntil(timeout: time?.since(now) ?? 3_600_000_000_000) { state in
                state.isClosed || state.isChanged ? true : nil
            }
        }
    }
}
