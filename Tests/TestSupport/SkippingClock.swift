public import Base
public import Concurrency

/// A clock on which waits take no time: each sleep moves the clock to its deadline, and is recorded. A test can also
/// advance the clock itself.
public final class SkippingClock: TimeSource {
    private struct State {
        var now = SkippingClock.start
        var sleeps: [Duration] = []
    }

    private static let start = MonotonicTime(nanoseconds: 1_000_000_000)
    /// The date at which the clock starts, in seconds since 1970: 2024-01-01T00:00:00Z.
    public static let startDate: Int64 = 1_704_067_200

    private let state = Guarded(State())

    public init() {}

    public var now: MonotonicTime { state.withLock { $0.now } }

    public var minimumResolution: Duration { .nanoseconds(1) }

    public var nanosecondsSince1970: Int64 { Self.startDate * 1_000_000_000 + Int64(now.since(Self.start)) }

    /// The length of each sleep so far, in order.
    public var sleeps: [Duration] { state.withLock { $0.sleeps } }

    /// Advances the clock by `duration`.
    public func advance(by duration: Duration) { state.withLock { $0.now = $0.now.advanced(by: duration) } }

    public func sleep(until deadline: MonotonicTime, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        state.withLock { state in
            guard state.now < deadline else { return }
            state.sleeps.append(state.now.duration(to: deadline))
            state.now = deadline
        }
    }
}
