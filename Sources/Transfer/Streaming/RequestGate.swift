import Base

/// Where a request waits while something more urgent has the link.
final class RequestGate: Sendable {
    private enum State {
        case idle
        /// Resumed before it began to wait.
        case open
        case waiting(CheckedContinuation<Void, Never>)
        case closed
    }

    private let state = Guarded(State.idle)

    /// Waits for ``open()``, once for each call of it.
    func wait() async {
        await withCheckedContinuation { continuation in
            let goesOn = state.withLock { state -> Bool in
                switch state {
                case .open:
                    state = .idle
                    return true
                case .closed:
                    return true
                case .idle, .waiting:
                    state = .waiting(continuation)
                    return false
                }
            }
            if goesOn { continuation.resume() }
        }
    }

    /// Lets the request go on.
    func open() { pass(.idle, otherwise: .open) }

    /// Lets it go on now and for ever.
    func close() { pass(.closed, otherwise: .closed) }

    private func pass(_ after: State, otherwise: State) {
        let waiting = state.withLock { state -> CheckedContinuation<Void, Never>? in
            switch state {
            case .waiting(let continuation):
                state = after
                return continuation
            case .closed:
                return nil
            case .idle, .open:
                state = otherwise
                return nil
            }
        }
        waiting?.resume()
    }
}
