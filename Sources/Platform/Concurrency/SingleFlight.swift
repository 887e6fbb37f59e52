import Base

/// A group of work items in which concurrent callers with the same key share one run.
///
/// The first caller starts the work. Each caller sets its own timeout. A caller stops waiting after its timeout, or
/// when it is canceled. The work itself continues, and later callers join it. When the work ends, the waiting callers
/// receive its value, and the group does not keep the value. If the work takes longer than `abandonAfter`, the group
/// cancels and forgets the work. So no work blocks its key forever.
public final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// The result of one caller's wait.
    public enum Outcome: Sendable {
        case value(Value)
        /// The work took longer than the caller's timeout or than `abandonAfter`.
        case timedOut
        /// The caller was canceled.
        case cancelled
        /// The work was not started, because the maximum number of work items is running already.
        case full
    }

    private struct Flight {
        let id: UInt64
        /// The value of the work; `nil` if the work was abandoned.
        let result = OneShot<Value?>()
        var reaper: Task<Void, Never>?
    }

    private struct State {
        var flights: [Key: Flight] = [:]
        var nextID: UInt64 = 0
    }

    private let state = Guarded(State())
    private let clock: any TimeSource
    private let abandonAfter: Duration?
    private let limit: Int

    /// Creates a group in which no work is running.
    ///
    /// - Parameters:
    ///   - abandonAfter: the maximum time that one work item may take; `nil` for work that limits its own time.
    ///   - limit: the maximum number of work items that may run at the same time.
    public init(clock: any TimeSource = .system, abandonAfter: Duration? = nil, limit: Int = .max) {
        self.clock = clock
        self.abandonAfter = abandonAfter
        self.limit = limit
    }

    /// Returns true if work is running for at least one key that satisfies `matches`.
    public func isRunning(_ matches: (Key) -> Bool) -> Bool {
        state.withLock { $0.flights.keys.contains(where: matches) }
    }

    /// Returns the value of the work that is running for `key`. If no work is running for `key`, runs `work` and
    /// returns its value.
    ///
    /// - Parameter timeout: the maximum time that this caller waits; `nil` to wait as long as the work takes.
    public func value(
        for key: Key, timeout: Duration? = nil, _ work: @escaping @Sendable () async -> Value
    ) async -> Outcome {
        let joined = state.withLock { state -> (flight: Flight, isNew: Bool)? in
            if let flight = state.flights[key] { return (flight, false) }
            guard state.flights.count < limit else { return nil }
            state.nextID += 1
            let flight = Flight(id: state.nextID)
            state.flights[key] = flight
            return (flight, true)
        }
        guard let (flight, isNew) = joined else { return .full }
        if isNew { start(key, id: flight.id, work) }
        guard let timeout else {
            do throws(CancellationError) {
                return try await flight.result.wait().map { .value($0) } ?? .timedOut
            } catch {
                return .cancelled
            }
        }
        return switch await flight.result.wait(atMost: timeout, clock: clock) {
        case .value(.some(let value)): .value(value)
        case .value(.none), .timedOut: .timedOut
        case .cancelled: .cancelled
        }
    }

    private func start(_ key: Key, id: UInt64, _ work: @escaping @Sendable () async -> Value) {
        let worker = Task { self.end(key, id: id, with: await work()) }
        guard let abandonAfter else { return }
        let reaper = Task {
            guard (try? await clock.sleep(for: abandonAfter)) != nil else { return }
            worker.cancel()
            self.end(key, id: id, with: nil)
        }
        let isOver = state.withLock { state -> Bool in
            guard state.flights[key]?.id == id else { return true }
            state.flights[key]?.reaper = reaper
            return false
        }
        if isOver { reaper.cancel() }
    }

    private func end(_ key: Key, id: UInt64, with value: Value?) {
        let flight = state.withLock { state -> Flight? in
            guard state.flights[key]?.id == id else { return nil }
            return state.flights.removeValue(forKey: key)
        }
        guard let flight else { return }
        flight.result.fulfill(value)
        flight.reaper?.cancel()
    }
}
