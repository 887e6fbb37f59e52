import Base

/// Work that is done once however many ask for it at the same time.
///
/// Whoever asks first starts it. Everybody waits for it at most as long as they say, and stops waiting when cancelled;
/// the work itself goes on, so that the next who asks finds it done or nearly so. Work that takes longer than
/// `abandonAfter` is cancelled and forgotten: it cannot block its key for ever.
final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// What came of waiting.
    enum Outcome {
        case value(Value)
        case timedOut
        case cancelled
        /// As many pieces of work as are allowed are going on.
        case full
    }

    private struct Entry {
        var id: UInt64
        var waiters: [UInt64: Race<Outcome>] = [:]
        var tasks: [Task<Void, Never>] = []
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var nextID: UInt64 = 0

        mutating func newID() -> UInt64 {
            nextID += 1
            return nextID
        }
    }

    private let state = Guarded(State())
    private let clock: any Clock<Duration>
    private let abandonAfter: Duration
    private let limit: Int

    init(clock: any Clock<Duration>, abandonAfter: Duration, limit: Int) {
        self.clock = clock
        self.abandonAfter = abandonAfter
        self.limit = limit
    }

    /// Whether there is work going on for a key that `matches`.
    func isRunning(_ matches: (Key) -> Bool) -> Bool {
        state.withLock { $0.entries.keys.contains(where: matches) }
    }

    /// The value of the work for `key`, which `work` is if none is going on.
    func value(
        for key: Key, timeout: Duration, _ work: @escaping @Sendable () async -> Value
    ) async -> Outcome {
        let race = Race<Outcome>()
        let joined = state.withLock { state -> (entry: UInt64, waiter: UInt64, isNew: Bool)? in
            let waiter = state.newID()
            if let entry = state.entries[key] {
                state.entries[key]?.waiters[waiter] = race
                return (entry.id, waiter, false)
            }
            guard state.entries.count < limit else { return nil }
            let entry = state.newID()
            state.entries[key] = Entry(id: entry, waiters: [waiter: race])
            return (entry, waiter, true)
        }
        guard let joined else { return .full }
        if joined.isNew { start(key, joined.entry, work) }

        let timer = Task {
            guard (try? await clock.sleep(for: timeout)) != nil else { return }
            race.finish(.success(.timedOut))
        }
        defer {
            timer.cancel()
            state.withLock { state in
                if state.entries[key]?.id == joined.entry { state.entries[key]?.waiters[joined.waiter] = nil }
            }
        }
        return await withTaskCancellationHandler {
            // Nobody finishes this race with a failure.
            (try? await race.value()) ?? .cancelled
        } onCancel: {
            race.finish(.success(.cancelled))
        }
    }

    private func start(_ key: Key, _ id: UInt64, _ work: @escaping @Sendable () async -> Value) {
        let worker = Task {
            let value = await work()
            self.end(key, id, .value(value))
        }
        let reaper = Task {
            guard (try? await clock.sleep(for: abandonAfter)) != nil else { return }
            worker.cancel()
            self.end(key, id, .timedOut)
        }
        let isOver = state.withLock { state -> Bool in
            guard state.entries[key]?.id == id else { return true }
            state.entries[key]?.tasks = [reaper]
            return false
        }
        if isOver { reaper.cancel() }
    }

    private func end(_ key: Key, _ id: UInt64, _ outcome: Outcome) {
        let entry = state.withLock { state -> Entry? in
            guard state.entries[key]?.id == id else { return nil }
            return state.entries.removeValue(forKey: key)
        }
        guard let entry else { return }
        for waiter in entry.waiters.values { waiter.finish(.success(outcome)) }
        for task in entry.tasks { task.cancel() }
    }
}
