import Base

/// Lets one thread at a time work on one key, and threads with different keys work side by side.
///
/// For work that waits for the disk, which may not be done inside a `Guarded`.
final class KeyedLock<Key: Hashable & Sendable>: Sendable {
    private let busy = Guarded<Set<Key>>([])

    init() {}

    /// Runs `body` while no other thread is inside with the same `key`. Not re-entrant.
    func withKey<Result, Failure: Error>(
        _ key: Key, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        busy.waitUntil { $0.insert(key).inserted ? () : nil }
        defer { busy.withLockBroadcasting { _ = $0.remove(key) } }
        return try body()
    }
}

/// Lets one thread at a time do something that waits for the disk.
final class Turn: Sendable {
    private let gate = KeyedLock<Bool>()

    init() {}

    /// Runs `body` while no other thread has the turn. Not re-entrant.
    func take<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        try gate.withKey(true, body)
    }
}
