import Base

/// A value that is set once and that any number of tasks can wait for.
///
/// Only the first call of ``fulfill(_:)`` sets the value, so a `OneShot` can also decide a race.
public final class OneShot<Value: Sendable>: Sendable {
    /// The result of one wait.
    public enum Outcome: Sendable {
        case value(Value)
        /// The value did not arrive within the limit of ``OneShot/wait(atMost:clock:)``.
        case timedOut
        /// The waiting task was canceled.
        case cancelled
    }

    private struct Waiter {
        let ticket: UInt64
        let continuation: CheckedContinuation<Outcome, Never>
    }

    private struct State {
        var value: Value?
        var nextTicket: UInt64 = 0
        var waiters: [Waiter] = []
        /// The outcomes of waits that timed out or were canceled before ``waiters`` listed them. The key is the wait's
        /// ticket.
        var interrupted: [UInt64: Outcome] = [:]
    }

    private let state = Guarded(State())

    public init() {}

    /// Sets the value and delivers it to all present and future waiters.
    ///
    /// - Returns: `false` if the value was set before; the new value is then dropped.
    @discardableResult
    public func fulfill(_ value: Value) -> Bool {
        let waiters = state.withLock { state -> [Waiter]? in
            guard state.value == nil else { return nil }
            state.value = value
            defer { state.waiters = [] }
            return state.waiters
        }
        guard let waiters else { return false }
        for waiter in waiters { waiter.continuation.resume(returning: .value(value)) }
        return true
    }

    /// The value; `nil` if it is not set yet.
    public var current: Value? { state.withLock { $0.value } }

    /// The number of waiting tasks.
    public var waiterCount: Int { state.withLock { $0.waiters.count } }

    /// The value. Reading this property waits until the value is set. Canceling the waiting task does not end the wait,
    /// as with `Task.value`.
    public var value: Value {
        get async {
            while true {
                // No one interrupts this ticket, so the first outcome is the value.
                if case .value(let value) = await register(newTicket()) { return value }
            }
        }
    }

    /// Waits for the value.
    ///
    /// - Throws: `CancellationError` as soon as the waiting task is canceled. Other tasks continue to wait.
    public func wait() async throws(CancellationError) -> Value {
        guard case .value(let value) = await wait(ticket: newTicket()) else { throw CancellationError() }
        return value
    }

    /// Waits for the value, but no longer than `limit`. `clock` measures the time.
    public func wait(atMost limit: Duration, clock: any TimeSource) async -> Outcome {
        if let current { return .value(current) }
        let ticket = newTicket()
        let timer = Task {
            guard (try? await clock.sleep(for: limit)) != nil else { return }
            self.interrupt(ticket, .timedOut)
        }
        defer { timer.cancel() }
        return await wait(ticket: ticket)
    }

    private func wait(ticket: UInt64) async -> Outcome {
        let outcome = await withTaskCancellationHandler {
            await register(ticket)
        } onCancel: {
            interrupt(ticket, .cancelled)
        }
        // A timeout or cancellation after the outcome leaves an entry behind.
        state.withLock { _ = $0.interrupted.removeValue(forKey: ticket) }
        return outcome
    }

    private func newTicket() -> UInt64 {
        state.withLock { state in
            state.nextTicket += 1
            return state.nextTicket
        }
    }

    private func register(_ ticket: UInt64) async -> Outcome {
        await withCheckedContinuation { continuation in
            let known = state.withLock { state -> Outcome? in
                if let value = state.value { return .value(value) }
                if let outcome = state.interrupted.removeValue(forKey: ticket) { return outcome }
                state.waiters.append(Waiter(ticket: ticket, continuation: continuation))
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    private func interrupt(_ ticket: UInt64, _ outcome: Outcome) {
        let waiter = state.withLock { state -> Waiter? in
            guard state.value == nil else { return nil }
            guard let index = state.waiters.firstIndex(where: { $0.ticket == ticket }) else {
                state.interrupted[ticket] = outcome
                return nil
            }
            return state.waiters.remove(at: index)
        }
        waiter?.continuation.resume(returning: outcome)
    }
}

extension OneShot where Value == Void {
    /// Releases all present and future waiters. Returns `false` if an earlier call has already released them.
    @discardableResult
    public func fulfill() -> Bool { fulfill(()) }
}
