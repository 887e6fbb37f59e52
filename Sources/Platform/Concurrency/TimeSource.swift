public import Base
import Glibc

/// A clock that tells monotonic time, can sleep until a deadline, and also tells the date.
///
/// Production code passes ``SystemTime``; tests pass a clock that they advance themselves.
public protocol TimeSource: Clock, Sendable where Instant == MonotonicTime, Duration == Swift.Duration {
    /// The current date in nanoseconds since 1970, for comparison with dates from files and servers.
    var nanosecondsSince1970: Int64 { get }
}

extension TimeSource {
    /// The current date in seconds since 1970.
    public var secondsSince1970: Int64 { nanosecondsSince1970 / 1_000_000_000 }
}

extension TimeSource where Self == SystemTime {
    /// The machine's clock.
    public static var system: SystemTime { SystemTime() }
}

/// The machine's clock: `CLOCK_MONOTONIC` and `CLOCK_REALTIME`.
public struct SystemTime: TimeSource {
    /// The maximum duration of one call of `Task.sleep` in nanoseconds: one day. The runtime's timers do not support
    /// arbitrarily long sleeps, so a longer sleep takes several calls.
    private static let longestSleep: UInt64 = 86_400_000_000_000

    public init() {}

    public var now: MonotonicTime { .now() }

    public var minimumResolution: Duration { .nanoseconds(1) }

    public var nanosecondsSince1970: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }

    /// Sleeps until `deadline` or slightly longer.
    ///
    /// - Throws: `CancellationError` as soon as the task is canceled.
    public func sleep(until deadline: MonotonicTime, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        while true {
            let rest = deadline.since(now)
            if rest == 0 { return }
            try await Task.sleep(nanoseconds: min(rest, Self.longestSleep))
        }
    }
}
