import Glibc

/// A value behind a lock, with a way to wait until the value changes. Rivulet's other in-process locks use this type.
///
/// The lock is a `pthread_mutex_t`, because `Synchronization.Mutex` of Swift 6.3 uses a priority-inheriting futex on
/// Linux. Under contention, such a futex has a fortieth of this lock's throughput (swiftlang/swift#88440). Such a futex
/// also confuses ThreadSanitizer. When `Synchronization.Mutex` uses a plain futex, change only this file.
///
/// Keep critical sections short: no blocking system call, no allocation on a hot path, no call to foreign code.
public final class Guarded<Value>: @unchecked Sendable {
    // Safe to share: `value` is only accessed between lock and unlock of `mutex`. The results of `withLock` are
    // `sending`, so no part of `value` escapes that is not safe to send.
    private var value: Value
    // On the heap at a fixed address: passing `&property` to C would cost an exclusivity check per call.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    public init(_ value: consuming sending Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` with exclusive access to the value.
    @inline(__always)
    public func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }

    /// Runs `body` like ``withLock(_:)``, then wakes one thread that waits in ``waitUntil(_:)``.
    public func withLockSignalling<Result>(_ body: (inout Value) -> sending Result) -> sending Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_mutex_unlock(mutex)
            pthread_cond_signal(condition)
        }
        return body(&value)
    }

    /// Runs `body` like ``withLock(_:)``, then wakes every thread that waits in ``waitUntil(_:)``.
    public func withLockBroadcasting<Result>(_ body: (inout Value) -> sending Result) -> sending Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_mutex_unlock(mutex)
            pthread_cond_broadcast(condition)
        }
        return body(&value)
    }

    /// Blocks the calling thread until `body` returns a result other than `nil`. `body` runs at once, and again each
    /// time that another thread wakes the calling thread. `body` has exclusive access to the value. Call this only on
    /// Rivulet's own threads, never on an event loop or in the cooperative pool.
    public func waitUntil<Result>(_ body: (inout Value) -> sending Result?) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&value) { return result }
            pthread_cond_wait(condition, mutex)
        }
    }

    /// Blocks the calling thread like ``waitUntil(_:)``, but for at most `timeout` nanoseconds. Returns `nil` after
    /// that time.
    public func waitUntil<Result>(
        timeout: UInt64, _ body: (inout Value) -> sending Result?
    ) -> sending Result? {
        let deadline = MonotonicTime.now().advanced(by: timeout)
        var limit = timespec(
            tv_sec: Int(deadline.nanoseconds / 1_000_000_000), tv_nsec: Int(deadline.nanoseconds % 1_000_000_000))
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&value) { return result }
            guard pthread_cond_timedwait(condition, mutex, &limit) != ETIMEDOUT else { return body(&value) }
        }
    }
}
