public import Base

/// The time at which an analyzer may be started again: at once at first, then after delays that double.
public struct RestartThrottle: Sendable {
    private let first: UInt64
    private let longest: UInt64
    private let soundAfter: UInt64
    private var delay: UInt64 = 0
    private var startedAt: MonotonicTime?
    /// No process may be started before.
    public private(set) var allowedAt = MonotonicTime(nanoseconds: 0)
    /// Processes that failed.
    public private(set) var failures: UInt64 = 0

    /// - Parameters:
    ///   - first: the delay after the first failure.
    ///   - longest: the bound of the delays.
    ///   - soundAfter: a process that has lived this long starts the delays over.
    public init(first: Duration, longest: Duration, soundAfter: Duration) {
        self.first = max(1, first.wholeNanoseconds)
        self.longest = max(1, longest.wholeNanoseconds)
        self.soundAfter = soundAfter.wholeNanoseconds
    }

    /// Notes that a process starts.
    public mutating func started(at now: MonotonicTime) {
        startedAt = now
    }

    /// Notes that the process has failed, or could not be started.
    public mutating func failed(at now: MonotonicTime) {
        if let startedAt, now.since(startedAt) >= soundAfter { delay = 0 }
        startedAt = nil
        failures += 1
        delay = delay == 0 ? first : min(longest, delay > longest / 2 ? longest : delay * 2)
        allowedAt = now.advanced(by: delay)
    }
}
