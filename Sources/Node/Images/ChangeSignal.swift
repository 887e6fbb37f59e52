import Base
import Concurrency

/// A signal for tasks that wait until something changes.
///
/// A task first takes ``next``, then looks at the state, and then waits for what it took. So it misses no change.
final class ChangeSignal: Sendable {
    private let current = Guarded(OneShot<Void>())

    /// The signal of the next change.
    var next: OneShot<Void> { current.withLock { $0 } }

    /// Wakes all tasks that wait for a change.
    func fire() {
        let fired = current.withLock { current in
            defer { current = OneShot() }
            return current
        }
        fired.fulfill()
    }
}
