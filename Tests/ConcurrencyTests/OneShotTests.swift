import Base
import Concurrency
import TestSupport
import Testing

struct OneShotTests {
    @Test("gives the first value to all who wait, before and after")
    func firstValueWins() async throws {
        let shot = OneShot<Int>()
        let waiters = (0..<3).map { _ in Task { await shot.value } }
        let cancellable = Task { try await shot.wait() }
        try await turn { shot.waiterCount == 4 }
        #expect(shot.current == nil)
        #expect(shot.fulfill(1))
        #expect(!shot.fulfill(2))
        for waiter in waiters { #expect(await waiter.value == 1) }
        #expect(try await cancellable.value == 1)
        #expect(try await shot.wait() == 1)
        #expect(shot.current == 1)
        #expect(shot.waiterCount == 0)
    }

    @Test("ends the wait of a cancelled task, and only that one")
    func cancellationEndsOneWait() async throws {
        let shot = OneShot<Int>()
        let (first, second) = (Task { try await shot.wait() }, Task { try await shot.wait() })
        try await turn { shot.waiterCount == 2 }
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        #expect(shot.waiterCount == 1)
        shot.fulfill(7)
        #expect(try await second.value == 7)
    }

    @Test("throws at once in a task that is cancelled already, unless the value is here")
    func cancelledBeforehand() async throws {
        let shot = OneShot<Int>()
        let early = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await shot.wait()
        }
        await #expect(throws: CancellationError.self) { try await early.value }
        shot.fulfill(3)
        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await shot.wait()
        }
        #expect(try await late.value == 3)
    }

    @Test("value ignores cancellation")
    func valueIgnoresCancellation() async throws {
        let shot = OneShot<Int>()
        let waiter = Task { await shot.value }
        waiter.cancel()
        try await turn { shot.waiterCount == 1 }
        shot.fulfill(9)
        #expect(await waiter.value == 9)
    }

    @Test("stops at the limit, and leaves no timer behind when the value comes first")
    func limits() async throws {
        let (clock, shot) = (ManualClock(), OneShot<Int>())
        let impatient = Task { await shot.wait(atMost: .seconds(1), clock: clock) }
        let patient = Task { await shot.wait(atMost: .seconds(2), clock: clock) }
        await clock.untilSleeping(for: .seconds(1))
        await clock.untilSleeping(for: .seconds(2))
        clock.advance(by: .seconds(1))
        guard case .timedOut = await impatient.value else {
            Issue.record("the limit did not end the wait")
            return
        }
        shot.fulfill(5)
        guard case .value(5) = await patient.value else {
            Issue.record("the value did not end the wait")
            return
        }
        try await turn { clock.sleeperCount == 0 }
        // The value is set already, so the wait needs no clock.
        guard case .value(5) = await shot.wait(atMost: .zero, clock: clock) else {
            Issue.record("a value that is here was not returned")
            return
        }
    }

    /// In any interleaving of values, cancellations and limits, each waiter resumes once.
    @Test("survives races of values, cancellations and limits")
    func races() async {
        for round in 0..<300 {
            let (clock, shot) = (ManualClock(), OneShot<Int>())
            await withTaskGroup { group in
                for number in 0..<6 {
                    group.addTask {
                        let task = Task { await shot.wait(atMost: .seconds(1), clock: clock) }
                        if number % 3 == 0 { task.cancel() }
                        switch await task.value {
                        case .value(let value): #expect(value == round)
                        case .cancelled: #expect(number % 3 == 0)
                        case .timedOut: break
                        }
                    }
                }
                group.addTask { clock.advance(by: .seconds(1)) }
                group.addTask { shot.fulfill(round) }
            }
            #expect(shot.waiterCount == 0)
        }
    }
}
