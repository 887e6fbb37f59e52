import Base

/// A result that many tasks wait for and one brings. A waiter that is cancelled stops waiting; the others do not notice.
final class SharedResult<Value: Sendable>: Sendable {
    typealias Outcome = Result<Value, RegistryError>

    private struct State {
        var outcome: Outcome?
        var nextTicket: UInt64 = 0
        var waiting: [UInt64: CheckedContinuation<Outcome, Never>] = [:]
        var cancelled: Set<UInt64> = []
    }

    private let state = Guarded(State())

    /// Brings it. Only the first time counts.
    func finish(_ outcome: Outcome) {
        let waiting = state.withLock { state -> [CheckedContinuation<Outcome, Never>] in
            guard state.outcome == nil else { return [] }
            state.outcome = outcome
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.resume(returning: outcome) }
    }

    /// Waits for it.
    func wait() async throws(RegistryError) -> Value {
        let ticket = state.withLock { state -> UInt64 in
            state.nextTicket += 1
            return state.nextTicket
        }
        let stopped = Outcome.failure(RegistryError(.cancelled, "cancelled while waiting for a token"))
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let known = state.withLock { state -> Outcome? in
                    if let outcome = state.outcome { return outcome }
                    if state.cancelled.remove(ticket) != nil { return stopped }
                    state.waiting[ticket] = continuation
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Outcome, Never>? in
                if let waiter = state.waiting.removeValue(forKey: ticket) { return waiter }
                state.cancelled.insert(ticket)
                return nil
            }
            waiter?.resume(returning: stopped)
        }
        return try outcome.get()
    }
}
