import Base
import Concurrency
import TestSupport
import Testing

struct TimeoutTests {
    private struct Refusal: Error {}

    @Test("returns what the work returns, or throws what it throws")
    func passesResults() async throws {
        let clock = ManualClock()
        #expect(try await withTimeout(.seconds(1), clock: clock) { 5 } == 5)
        await #expect(throws: Refusal.self) { try await withTimeout(.seconds(1), clock: clock) { throw Refusal() } }
        try await turn { clock.sleeperCount == 0 }
    }

    @Test("cancels work at the limit and does not wait for it")
    func limitCancelsWork() async throws {
        let (clock, stubborn, cancelled) = (ManualClock(), OneShot<Void>(), OneShot<Void>())
        let caller = Task {
            try await withTimeout(.seconds(3), clock: clock) {
                await withTaskCancellationHandler {
                    await stubborn.value
                } onCancel: {
                    cancelled.fulfill()
                }
            }
        }
        await clock.untilSleeping(for: .seconds(3))
        clock.advance(by: .seconds(3))
        await #expect(throws: TimeoutError(limit: .seconds(3))) { try await caller.value }
        await cancelled.value
        stubborn.fulfill()
    }

    @Test("a cancelled caller returns at once")
    func callerIsCancelled() async throws {
        let (clock, stubborn) = (ManualClock(), OneShot<Void>())
        let caller = Task { try await withTimeout(.seconds(3), clock: clock) { await stubborn.value } }
        try await turn { stubborn.waiterCount == 1 }
        caller.cancel()
        await #expect(throws: CancellationError.self) { try await caller.value }
        stubborn.fulfill()
    }
}
