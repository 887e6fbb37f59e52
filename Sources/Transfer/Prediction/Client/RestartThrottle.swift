public import Base

/// A limit on the restarts of an analyzer. The first start is immediate. After a failure, the next start must wait.
/// Each further failure doubles this delay.
public struct RestartThrottle: Sendable {
    private let first: UInt64
    private let longest: UInt64
    private let soundAfter: UInt64
    private var delay: UInt64 = 0
    private var startedAt: MonotonicTime?
    /// The time before which no process may be started.
    public private(set) var allowedAt = MonotonicTime(nanoseconds: 0)
    /// The number of processes that failed or could not be started.
    public private(set) var failures: UInt64 = 0

    /// - Parameters:
    ///   - first: the delay after the first failure.
    ///   - longest: the longest delay.
    ///   - soundAfter: the lifetime after which a process counts as sound. After the failure of a sound process, the
    ///     delays begin again with `first`.
    public init(first: Duration, longest: Duration, soundAfter: Duration) {
        self.first = max(1, first.wholeNanoseconds)
        self.longest = max(1, longest.wholeNanoseconds)
        self.soundAfter = soundAfter.wholeNanoseconds
    }

    /// Records the start of a process.
    public mutating func started(at now: MonotonicTime) {
        startedAt = now
    }

    /// Records that the process has failed or could not be started.
    public mutating func failed(at now: MonotonicTime) {
        if let startedAt, now.since(startedAt) >= soundAfter { delay = 0 }
        startedAt = nil
        failures += 1
        delay = delay == 0 ? first : min(longest, delay > longest / 2 ? longest : delay * 2)
        allowedAt = now.advanced(by: delay)
    }
}
