import Base
import Concurrency

/// A gate at which a running request pauses while the planner serves more urgent requests.
final class RequestGate: Sendable {
    private struct State {
        var signal = OneShot<Void>()
        var isClosed = false
    }

    private let state = Guarded(State())

    /// Waits for ``open()``. Returns at once if ``open()`` was called since the previous wait ended. After ``close()``,
    /// every wait returns at once.
    func wait() async {
        let signal = state.withLock { $0.signal }
        await signal.value
        state.withLock { if !$0.isClosed { $0.signal = OneShot() } }
    }

    /// Lets the request continue.
    func open() {
        state.withLock { $0.signal }.fulfill()
    }

    /// Lets the request continue, and makes all later waits return at once.
    func close() {
        let signal = state.withLock { state in
            state.isClosed = true
            return state.signal
        }
        signal.fulfill()
    }
}
