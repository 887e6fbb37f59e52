public import Base
import Glibc

/// The time that a ``RegistryClient`` lives by: tests put a clock here that they turn themselves.
public struct RegistryClock: Sendable {
    /// Monotonic time, for deadlines, back-off and token life.
    public var now: @Sendable () -> MonotonicTime
    /// Seconds since 1970, for what servers express as a date (presigned URLs, `Retry-After`).
    public var secondsSince1970: @Sendable () -> Int64
    /// Waits this many nanoseconds; throws when the task is cancelled meanwhile.
    public var sleep: @Sendable (UInt64) async throws -> Void
    /// A random number in 0..<1, for jitter.
    public var random: @Sendable () -> Double

    public init(
        now: @escaping @Sendable () -> MonotonicTime, secondsSince1970: @escaping @Sendable () -> Int64,
        sleep: @escaping @Sendable (UInt64) async throws -> Void, random: @escaping @Sendable () -> Double
    ) {
        self.now = now
        self.secondsSince1970 = secondsSince1970
        self.sleep = sleep
        self.random = random
    }

    /// The machine's clock.
    public static let system = RegistryClock(
        now: { MonotonicTime.now() },
        secondsSince1970: { Int64(time(nil)) },
        sleep: { try await Task.sleep(nanoseconds: $0) },
        random: { Double.random(in: 0..<1) })
}
