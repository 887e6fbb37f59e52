import Base

/// Runs work once for all who ask for its key at the same time.
///
/// The first caller starts the work. Each caller waits as long as it says, and stops when it is cancelled; the work
/// itself goes on, so that the next caller finds it done or nearly done. Work that exceeds `abandonAfter` is cancelled
/// and forgotten: it cannot block its key for good.
public final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// The end of one caller's wait.
    public enum Outcome: Sendable {
        case value(Value)
        /// The work took longer than the caller waits, or than any work may take.
        case timedOut
        /// The caller was cancelled.
        case cancelled
        /// The most pieces of work allowed are under way.
        case full
    }

    private struct Flight {
        let id: UInt64
        /// `nil` when the work was abandoned.
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

    /// - Parameters:
    ///   - abandonAfter: the longest that one piece of work may take; `nil` for work that bounds itself.
    ///   - limit: the most pieces of work at a time.
    public init(clock: any TimeSource = .system, abandonAfter: Duration? = nil, limit: Int = .max) {
        self.clock = clock
        self.abandonAfter = abandonAfter
        self.limit = limit
    }

    /// Returns whether work is under way for a key that `matches`.
    public func isRunning(_ matches: (Key) -> Bool) -> Bool {
        state.withLock { $0.flights.keys.contains(where: matches) }
    }

    /// Returns the value of the work under way for `key`, or starts `work`.
    ///
    /// - Parameter timeout: the longest that this caller waits; `nil` for as long as the work takes.
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
