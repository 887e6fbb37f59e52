import Base

/// Lets at most so many tasks through at a time; the rest wait in order, without blocking a thread.
final class AsyncSemaphore: Sendable {
    private struct State {
        var free: Int
        var nextTicket: UInt64 = 0
        var waiting: [(ticket: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
        /// Tickets that were cancelled before they came to wait.
        var cancelled: Set<UInt64> = []
    }

    private let state: Guarded<State>

    /// A semaphore with `count` places.
    init(count: Int) {
        state = Guarded(State(free: max(1, count)))
    }

    /// Runs `body` once there is a place. Throws `CancellationError` when the task is cancelled while it waits.
    func withPlace<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
        try await enter()
        defer { leave() }
        return try await body()
    }

    private func enter() async throws {
        let ticket = state.withLock { state -> UInt64 in
            state.nextTicket += 1
            return state.nextTicket
        }
        let entered = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediately = state.withLock { state -> Bool? in
                    if state.cancelled.remove(ticket) != nil { return false }
                    if state.free > 0 {
                        state.free -= 1
                        return true
                    }
                    state.waiting.append((ticket, continuation))
                    return nil
                }
                if let immediately { continuation.resume(returning: immediately) }
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
        // A ticket that was cancelled after it got its place leaves its mark behind: take it away.
        state.withLock { _ = $0.cancelled.remove(ticket) }
        guard entered else { throw CancellationError() }
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard !state.waiting.isEmpty else {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst().continuation
        }
        next?.resume(returning: true)
    }
}
