import Base

/// Bounds how many background bodies are in flight for one registry, so that demand requests always find a connection.
///
/// First come, first served; a task that is cancelled while it waits gives up its place.
final class StreamPermits: Sendable {
    private struct State {
        var available: Int
        var nextTicket: UInt64 = 0
        var waiting: [(ticket: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
        /// Cancelled before they could start waiting.
        var cancelled: Set<UInt64> = []
    }

    private let state: Guarded<State>

    init(_ count: Int) {
        state = Guarded(State(available: count))
    }

    /// Waits for a permit.
    func acquire() async throws(RegistryError) -> StreamPermit {
        let ticket = state.withLock { state -> UInt64? in
            if state.available > 0 {
                state.available -= 1
                return nil
            }
            state.nextTicket += 1
            return state.nextTicket
        }
        guard let ticket else { return StreamPermit(self) }
        let granted = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLock { state in
                    if state.cancelled.remove(ticket) != nil { return false }
                    if state.available > 0 {
                        state.available -= 1
                        return true
                    }
                    state.waiting.append((ticket, continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
                guard let index = state.waiting.firstIndex(where: { $0.ticket == ticket }) else {
                    state.cancelled.insert(ticket)
                    return nil
                }
                return state.waiting.remove(at: index).continuation
            }
            waiter?.resume(returning: false)
        }
        guard granted else {
            // A cancellation that came after the grant leaves its mark: take it away.
            state.withLock { _ = $0.cancelled.remove(ticket) }
            throw RegistryError(.cancelled, "cancelled while waiting for a turn")
        }
        state.withLock { _ = $0.cancelled.remove(ticket) }
        return StreamPermit(self)
    }

    fileprivate func release() {
        let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard !state.waiting.isEmpty else {
                state.available += 1
                return nil
            }
            return state.waiting.removeFirst().continuation
        }
        next?.resume(returning: true)
    }
}

/// The right to have one background body in flight; given back at the end of the body or with the last reference.
final class StreamPermit: Sendable {
    private let pool: StreamPermits
    private let isReleased = Guarded(false)

    fileprivate init(_ pool: StreamPermits) {
        self.pool = pool
    }

    deinit { release() }

    /// Gives it back; once is enough, more does no harm.
    func release() {
        let isFirst = isReleased.withLock { released -> Bool in
            defer { released = true }
            return !released
        }
        if isFirst { pool.release() }
    }
}
