import Base

/// A limit on the number of tasks that hold a permit at the same time. Further tasks wait for a permit in order of
/// arrival, without blocking a thread.
///
/// A task that is canceled while it waits gives up its place.
public final class AsyncSemaphore: Sendable {
    private struct Waiter {
        let ticket: UInt64
        let granted: OneShot<Bool>
    }

    private struct State {
        var available: Int
        var nextTicket: UInt64 = 0
        var waiters: [Waiter] = []
    }

    private let state: Guarded<State>

    /// Creates a semaphore with `count` permits, at least one.
    public init(_ count: Int) {
        state = Guarded(State(available: max(1, count)))
    }

    /// The number of waiting tasks.
    public var waiterCount: Int { state.withLock { $0.waiters.count } }

    /// Waits for a permit.
    ///
    /// - Throws: `CancellationError` when the task is canceled while it waits.
    public func acquire() async throws(CancellationError) -> Permit {
        let waiter = state.withLock { state -> Waiter? in
            if state.available > 0 {
                state.available -= 1
                return nil
            }
            state.nextTicket += 1
            let waiter = Waiter(ticket: state.nextTicket, granted: OneShot())
            state.waiters.append(waiter)
            return waiter
        }
        guard let waiter else { return Permit(self) }
        // A grant and a cancellation can race. The one that removes the waiter from the list wins.
        let isGranted = await withTaskCancellationHandler {
            await waiter.granted.value
        } onCancel: {
            let isWaiting = state.withLock { state -> Bool in
                guard let index = state.waiters.firstIndex(where: { $0.ticket == waiter.ticket }) else { return false }
                state.waiters.remove(at: index)
                return true
            }
            if isWaiting { waiter.granted.fulfill(false) }
        }
        guard isGranted else { throw CancellationError() }
        return Permit(self)
    }

    /// Runs `body` with a permit.
    ///
    /// - Throws: the error of `body`, or `CancellationError` if the task is canceled while it waits.
    public func withPermit<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
        let permit = try await acquire()
        defer { permit.release() }
        return try await body()
    }

    fileprivate func release() {
        let next = state.withLock { state -> Waiter? in
            guard !state.waiters.isEmpty else {
                state.available += 1
                return nil
            }
            return state.waiters.removeFirst()
        }
        next?.granted.fulfill(true)
    }

    /// A permit to run. ``release()`` returns the permit to the semaphore, and so does the release of the last
    /// reference to this object.
    public final class Permit: Sendable {
        private let semaphore: AsyncSemaphore
        private let isReleased = Guarded(false)

        fileprivate init(_ semaphore: AsyncSemaphore) {
            self.semaphore = semaphore
        }

        deinit { release() }

        /// Returns the permit to the semaphore, so that another task can receive it. Further calls do nothing.
        public func release() {
            let isFirst = isReleased.withLock { released -> Bool in
                defer { released = true }
                return !released
            }
            if isFirst { semaphore.release() }
        }
    }
}
