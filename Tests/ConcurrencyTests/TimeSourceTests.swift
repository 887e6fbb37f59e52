import Base
import Concurrency
import TestSupport
import Testing

struct TimeSourceTests {
    @Test("the system's clock returns from a sleep that is over and from one that is cancelled")
    func systemTime() async throws {
        let clock = SystemTime()
        let before = clock.now
        try await clock.sleep(until: before, tolerance: nil)
        try await clock.sleep(for: .microseconds(1))
        #expect(clock.now > before)
        // 2020-01-01: the clock shows a plausible date.
        #expect(clock.secondsSince1970 > 1_577_836_800)
        let sleeper = Task { try await clock.sleep(until: MonotonicTime(nanoseconds: .max), tolerance: nil) }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
    }

    @Test("a manual clock wakes in order of deadlines, moves its date, and forgets the cancelled")
    func manualClock() async throws {
        let clock = ManualClock()
        let (start, date) = (clock.now, clock.secondsSince1970)
        let long = Task { try await clock.sleep(for: .seconds(5)) }
        let short = Task { try await clock.sleep(for: .seconds(2)) }
        let cancelled = Task { try await clock.sleep(for: .seconds(3)) }
        for seconds in [5, 2, 3] { await clock.untilSleeping(for: .seconds(seconds)) }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        clock.advance(by: .seconds(2))
        try await short.value
        #expect(clock.sleeperCount == 1)
        clock.advance(by: .seconds(3))
        try await long.value
        #expect(start.duration(to: clock.now) == .seconds(5))
        #expect(clock.secondsSince1970 == date + 5)
    }

    @Test("a skipping clock takes no time and remembers")
    func skippingClock() async throws {
        let clock = SkippingClock()
        let start = clock.now
        try await clock.sleep(for: .seconds(5))
        clock.advance(by: .seconds(1))
        try await clock.sleep(until: start, tolerance: nil)
        #expect(clock.sleeps == [.seconds(5)])
        #expect(clock.secondsSince1970 == SkippingClock.startDate + 6)
    }

    @Test("durations and moments stop at their ends")
    func saturates() {
        #expect(Duration.seconds(-1).wholeNanoseconds == 0)
        #expect(Duration.milliseconds(1500).wholeNanoseconds == 1_500_000_000)
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
        #expect(MonotonicTime(nanoseconds: 5).advanced(by: Duration.seconds(-1)) == MonotonicTime(nanoseconds: 0))
        #expect(MonotonicTime(nanoseconds: 5).advanced(by: Duration.seconds(Int64.max)).nanoseconds == .max)
        #expect(MonotonicTime(nanoseconds: 5).duration(to: MonotonicTime(nanoseconds: 3)) == .nanoseconds(-2))
    }
}
