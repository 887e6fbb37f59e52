import Base

/// A log that forwards at most one line per interval (one second by default), with the number of omitted lines. Without
/// the limit, a broken registry would log thousands of failed reads.
final class RateLimitedLog: Sendable {
    private struct State {
        var next = MonotonicTime(nanoseconds: 0)
        var omitted = 0
    }

    private let state = Guarded(State())
    private let sink: @Sendable (String) -> Void
    private let interval: UInt64

    init(interval: UInt64 = 1_000_000_000, _ sink: @escaping @Sendable (String) -> Void) {
        self.interval = interval
        self.sink = sink
    }

    func report(_ line: @autoclosure () -> String, now: MonotonicTime = .now()) {
        let omitted: Int? = state.withLock { state in
            guard now >= state.next else {
                state.omitted += 1
                return nil
            }
            defer { state = State(next: now.advanced(by: interval), omitted: 0) }
            return state.omitted
        }
        guard let omitted else { return }
        sink(omitted == 0 ? line() : "\(line()) (and \(omitted) more such failures)")
    }
}
