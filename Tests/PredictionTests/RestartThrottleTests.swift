import Base
import Prediction
import Testing

struct RestartThrottleTests {
    private let second: UInt64 = 1_000_000_000

    @Test("doubles the delay with each failure, up to its bound")
    func doubles() {
        var throttle = RestartThrottle(first: .seconds(1), longest: .seconds(5), soundAfter: .seconds(100))
        var now = MonotonicTime(nanoseconds: 0)
        #expect(throttle.allowedAt <= now, "the first process starts at once")
        for delay in [1, 2, 4, 5, 5] as [UInt64] {
            throttle.started(at: now)
            throttle.failed(at: now)
            #expect(throttle.allowedAt.since(now) == delay * second)
            now = throttle.allowedAt
        }
        #expect(throttle.failures == 5)
    }

    @Test("starts over after a process that has lived long")
    func startsOver() {
        var throttle = RestartThrottle(first: .seconds(1), longest: .seconds(60), soundAfter: .seconds(100))
        var now = MonotonicTime(nanoseconds: 0)
        for _ in 0..<4 { throttle.failed(at: now) }
        throttle.started(at: now)
        now = now.advanced(by: 100 * second)
        throttle.failed(at: now)
        #expect(throttle.allowedAt.since(now) == second)
    }
}
