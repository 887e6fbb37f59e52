import Base

/// So many tasks at a time: the rest wait in order, without blocking a thread.
///
/// A task that is cancelled while it waits gives up its place.
public final class Permits: Sendable {
    private struct State {
        var available: Int
        var nextTicket: UInt64 = 0
        var waiting: [(ticket: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
        /// Cancelled before they could start waiting.
        var cancelled: Set<UInt64> = []
    }

    private let state: Guarded<State>

    /// `count` permits, at least one.
    public init(_ count: Int) {
        state = Guarded(State(available: max(1, count)))
    }

    /// Tasks that wait now.
    public var waiting: Int { state.withLock { $0.waiting.count } }

    /// Waits for a permit.
    ///
    /// - Throws: `CancellationError` when the task is cancelled while it waits.
    public func acquire() async throws(CancellationError) -> Permit {
        let ticket = state.withLock { state -> UInt64? in
            if state.available > 0 {
                state.available -= 1
                return nil
            }
            state.nextTicket += 1
            return state.nextTicket
        }
        guard let ticket else { return Permit(self) }
        let isGranted = await withTaskCancellationHandler {
            await wait(ticket)
        } onCancel: {
            cancel(ticket)
        }
        // A cancellation that came after the grant leaves its mark: take it away.
        state.withLock { _ = $0.cancelled.remove(ticket) }
        guard isGranted else { throw CancellationError() }
        return Permit(self)
    }

    /// Runs `body` with a permit.
    ///
    /// - Throws: what `body` throws, and `CancellationError` when the task is cancelled while it waits.
    public func withPermit<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
        let permit = try await acquire()
        defer { permit.release() }
        return try await body()
    }

    private func wait(_ ticket: UInt64) async -> Bool {
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
    }

    private func cancel(_ ticket: UInt64) {
        let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard let index = state.waiting.firstIndex(where: { $0.ticket == ticket }) else {
                state.cancelled.insert(ticket)
                return nil
            }
            return state.waiting.remove(at: index).continuation
        }
        waiter?.resume(returning: false)
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

/// One of ``Permits``; given back by ``release()`` or with the last reference.
public final class Permit: Sendable {
    private let permits: Permits
    private let isReleased = Guarded(false)

    fileprivate init(_ permits: Permits) {
        self.permits = permits
    }

    deinit { release() }

    /// Gives it back; once is enough, more does no harm.
    public func release() {
        let isFirst = isReleased.withLock { released -> Bool in
            defer { released = true }
            return !released
        }
        if isFirst { permits.release() }
    }
}
