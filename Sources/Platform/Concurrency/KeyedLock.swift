import Base

/// Mutual exclusion by key, for critical sections in which a thread waits for the disk. A thread must not hold a
/// `Guarded`, the usual lock, during such a wait.
///
/// Threads with different keys work in parallel. Never use this lock on an event loop or in the cooperative pool.
public final class KeyedLock<Key: Hashable & Sendable>: Sendable {
    private let busy = Guarded<Set<Key>>([])

    public init() {}

    /// Runs `body` while no other thread runs a `body` with the same `key` of this lock. The lock is not reentrant.
    public func withKey<Result, Failure: Error>(
        _ key: Key, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        busy.waitUntil { $0.insert(key).inserted ? () : nil }
        defer { busy.withLockBroadcasting { _ = $0.remove(key) } }
        return try body()
    }
}

/// Mutual exclusion for critical sections in which a thread waits for the disk: a ``KeyedLock`` without keys.
public final class BlockingLock: Sendable {
    private let isBusy = Guarded(false)

    public init() {}

    /// Runs `body` while no other thread runs a `body` with this lock. The lock is not reentrant.
    public func withLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        isBusy.waitUntil { isBusy -> Void? in
            if isBusy { return nil }
            isBusy = true
            return ()
        }
        defer { isBusy.withLockSignalling { $0 = false } }
        return try body()
    }
}
