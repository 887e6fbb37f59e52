import Base

/// Waiting with an end.
enum Deadline {
    /// Returns when `body` has called what it is given, and after `nanoseconds` at the latest.
    static func wait(nanoseconds: UInt64, _ body: (@escaping @Sendable () -> Void) -> Void) async {
        let waiting = Guarded<CheckedContinuation<Void, Never>?>(nil)
        let isDone = Guarded(false)
        let finish: @Sendable () -> Void = {
            isDone.withLock { $0 = true }
            waiting.withLock { continuation -> CheckedContinuation<Void, Never>? in
                defer { continuation = nil }
                return continuation
            }?.resume()
        }
        let timer = Task {
            try? await Task.sleep(nanoseconds: nanoseconds)
            finish()
        }
        body(finish)
        await withCheckedContinuation { continuation in
            waiting.withLock { $0 = continuation }
            if isDone.withLock({ $0 }) { finish() }
        }
        timer.cancel()
    }
}
