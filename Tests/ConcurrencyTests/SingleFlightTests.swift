import Base
import Concurrency
import TestSupport
import Testing

struct SingleFlightTests {
    /// Work that counts its calls and returns when the test says so.
    private final class Work: Sendable {
        let answers: [OneShot<Int>]
        private let calls = Guarded(0)
        private let cancellations = Guarded(0)

        init(_ count: Int = 1) { answers = (0..<count).map { _ in OneShot() } }

        var callCount: Int { calls.withLock { $0 } }
        var cancelledCount: Int { cancellations.withLock { $0 } }

        func run() async -> Int {
            let number = calls.withLock { calls in
                calls += 1
                return calls - 1
            }
            let value = await answers[number].value
            if Task.isCancelled { cancellations.withLock { $0 += 1 } }
            return value
        }
    }

    private func name<Value>(_ outcome: SingleFlight<String, Value>.Outcome) -> String {
        switch outcome {
        case .value(let value): "\(value)"
        case .timedOut: "timed out"
        case .cancelled: "cancelled"
        case .full: "full"
        }
    }

    @Test("runs once for all who ask at the same time, again for who asks later")
    func runsOnce() async throws {
        let (clock, work) = (ManualClock(), Work(2))
        let flights = SingleFlight<String, Int>(clock: clock)
        let callers = (0..<20).map { _ in
            Task { await flights.value(for: "a", timeout: .seconds(1)) { await work.run() } }
        }
        await clock.untilSleeping(for: .seconds(1), count: 20)
        #expect(flights.isRunning { $0 == "a" })
        #expect(!flights.isRunning { $0 == "b" })
        work.answers[0].fulfill(1)
        for caller in callers { #expect(name(await caller.value) == "1") }
        #expect(work.callCount == 1)
        #expect(!flights.isRunning { _ in true })
        work.answers[1].fulfill(2)
        #expect(name(await flights.value(for: "a") { await work.run() }) == "2")
    }

    @Test("one caller's limit or cancellation leaves the work to the others")
    func callersAreIndependent() async throws {
        let (clock, work) = (ManualClock(), Work())
        let flights = SingleFlight<String, Int>(clock: clock)
        let first = Task { await flights.value(for: "a", timeout: .seconds(1)) { await work.run() } }
        await clock.untilSleeping(for: .seconds(1))
        let second = Task { await flights.value(for: "a", timeout: .seconds(5)) { await work.run() } }
        await clock.untilSleeping(for: .seconds(5))
        let third = Task { await flights.value(for: "a", timeout: .seconds(7)) { await work.run() } }
        await clock.untilSleeping(for: .seconds(7))
        clock.advance(by: .seconds(1))
        #expect(name(await first.value) == "timed out")
        second.cancel()
        #expect(name(await second.value) == "cancelled")
        work.answers[0].fulfill(4)
        #expect(name(await third.value) == "4")
        #expect(work.callCount == 1)
        #expect(work.cancelledCount == 0)
    }

    @Test("work whose callers have all gone is joined by the next")
    func workOutlivesCallers() async throws {
        let (clock, work) = (ManualClock(), Work())
        let flights = SingleFlight<String, Int>(clock: clock)
        let first = Task { await flights.value(for: "a") { await work.run() } }
        try await turn { work.callCount == 1 }
        first.cancel()
        #expect(name(await first.value) == "cancelled")
        let second = Task { await flights.value(for: "a", timeout: .seconds(1)) { await work.run() } }
        await clock.untilSleeping(for: .seconds(1))
        work.answers[0].fulfill(6)
        #expect(name(await second.value) == "6")
        #expect(work.callCount == 1)
    }

    @Test("abandons work that takes too long: its key is free again")
    func abandons() async throws {
        let (clock, work) = (ManualClock(), Work(2))
        let flights = SingleFlight<String, Int>(clock: clock, abandonAfter: .seconds(10))
        let first = Task { await flights.value(for: "a") { await work.run() } }
        await clock.untilSleeping(for: .seconds(10))
        try await turn { work.callCount == 1 }
        clock.advance(by: .seconds(10))
        #expect(name(await first.value) == "timed out")
        let second = Task { await flights.value(for: "a") { await work.run() } }
        try await turn { work.callCount == 2 }
        // No caller receives the value of the abandoned work.
        work.answers[0].fulfill(1)
        try await turn { work.cancelledCount == 1 }
        #expect(flights.isRunning { $0 == "a" })
        work.answers[1].fulfill(2)
        #expect(name(await second.value) == "2")
        try await turn { clock.sleeperCount == 0 }
    }

    @Test("refuses work beyond its limit, but lets callers join what runs")
    func limitsWork() async throws {
        let (clock, work) = (ManualClock(), Work())
        let flights = SingleFlight<String, Int>(clock: clock, limit: 1)
        let first = Task { await flights.value(for: "a", timeout: .seconds(1)) { await work.run() } }
        await clock.untilSleeping(for: .seconds(1))
        try await turn { work.callCount == 1 }
        #expect(name(await flights.value(for: "b") { 0 }) == "full")
        let joined = Task { await flights.value(for: "a", timeout: .seconds(2)) { await work.run() } }
        await clock.untilSleeping(for: .seconds(2))
        work.answers[0].fulfill(8)
        for caller in [first, joined] { #expect(name(await caller.value) == "8") }
        #expect(name(await flights.value(for: "b") { 3 }) == "3")
    }
}
