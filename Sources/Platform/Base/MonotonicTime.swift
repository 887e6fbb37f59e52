import Glibc

/// A point in time on `CLOCK_MONOTONIC`, in nanoseconds. This clock never goes back and is unrelated to the date.
public struct MonotonicTime: Hashable, Comparable, Sendable {
    public let nanoseconds: UInt64

    public init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    /// Returns the current time.
    public static func now() -> MonotonicTime {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }

    /// Returns the time `nanoseconds` later, or the latest possible time on overflow.
    public func advanced(by nanoseconds: UInt64) -> MonotonicTime {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return MonotonicTime(nanoseconds: overflow ? .max : sum)
    }

    /// Returns the number of nanoseconds from `earlier` to this time, or 0 if this time is not after `earlier`.
    public func since(_ earlier: MonotonicTime) -> UInt64 {
        nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0
    }

    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

extension MonotonicTime: InstantProtocol {
    /// Returns the time `duration` later, or earlier if `duration` is negative. An overflow yields the latest or
    /// earliest possible time.
    public func advanced(by duration: Duration) -> MonotonicTime {
        guard duration < .zero else { return advanced(by: duration.wholeNanoseconds) }
        let back = (.zero - duration).wholeNanoseconds
        return MonotonicTime(nanoseconds: nanoseconds > back ? nanoseconds - back : 0)
    }

    public func duration(to other: MonotonicTime) -> Duration {
        .nanoseconds(other.nanoseconds) - .nanoseconds(nanoseconds)
    }
}
