import Base
import Concurrency

/// The place where a request waits while something more urgent has the link.
final class RequestGate: Sendable {
    private struct State {
        var signal = OneShot<Void>()
        var isClosed = false
    }

    private let state = Guarded(State())

    /// Waits for ``open()``; a call that came before the wait counts.
    func wait() async {
        let signal = state.withLock { $0.signal }
        await signal.value
        state.withLock { if !$0.isClosed { $0.signal = OneShot() } }
    }

    /// Lets the request continue.
    func open() {
        state.withLock { $0.signal }.fulfill()
    }

    /// Lets the request continue, now and always.
    func close() {
        let signal = state.withLock { state in
            state.isClosed = true
            return state.signal
        }
        signal.fulfill()
    }
}
