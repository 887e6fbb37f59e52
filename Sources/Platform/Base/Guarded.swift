import Glibc

/// A value behind a lock: the one lock type of Rivulet.
///
/// It is a `pthread_mutex_t`. `Synchronization.Mutex` of Swift 6.3 uses a priority-inheriting futex on Linux that falls
/// to a fortieth of this one's throughput under contention (swiftlang/swift#88440) and confuses ThreadSanitizer; when the
/// toolchain has the plain futex, this file is the one place to change.
///
/// Critical sections are short: no system call that can wait, no allocation on a hot path, no call to foreign code.
public final class Guarded<Value>: @unchecked Sendable {
    // Safe to share: `value` is only touched between lock and unlock of `mutex`, and `withLock` lets nothing of it
    // escape that is not Sendable (the result is `sending`).
    private var value: Value
    // On the heap with a fixed address: passing `&property` to C costs an exclusivity check a call.
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

    /// Runs `body` with the value while no other thread has it.
    @inline(__always)
    public func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }

    /// As ``withLock(_:)``, then wakes one thread that waits in ``waitUntil(_:)``.
    public func withLockSignalling<Result>(_ body: (inout Value) -> sending Result) -> sending Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_mutex_unlock(mutex)
            pthread_cond_signal(condition)
        }
        return body(&value)
    }

    /// As ``withLock(_:)``, then wakes every thread that waits in ``waitUntil(_:)``.
    public func withLockBroadcasting<Result>(_ body: (inout Value) -> sending Result) -> sending Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_mutex_unlock(mutex)
            pthread_cond_broadcast(condition)
        }
        return body(&value)
    }

    /// Blocks the calling thread until `body` gives a result. Only for threads of our own: never on an event loop or
    /// in the cooperative pool.
    public func waitUntil<Result>(_ body: (inout Value) -> sending Result?) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&value) { return result }
            pthread_cond_wait(condition, mutex)
        }
    }

    /// As ``waitUntil(_:)``, but gives `nil` once `timeout` nanoseconds have passed.
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
