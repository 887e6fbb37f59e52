import Base
import Registry
import Testing

struct PermitsTests {
    /// Waits until `condition` holds; the tasks that make it so are running already.
    private func turn(until condition: () -> Bool) async throws {
        for _ in 0..<100_000 where !condition() { await Task.yield() }
        try #require(condition())
    }

    @Test func aPermitThatIsReleasedTwiceComesBackOnce() async throws {
        let permits = Permits(1)
        let first = try await permits.acquire()
        first.release()
        first.release()
        let second = try await permits.acquire()
        let third = Task { try await permits.acquire() }
        third.cancel()
        await #expect(throws: CancellationError.self) { try await third.value }
        second.release()
        try await permits.acquire().release()
    }

    @Test func aPermitThatIsLetGoOfComesBack() async throws {
        let permits = Permits(1)
        for _ in 0..<3 { _ = try await permits.acquire() }
        await #expect(throws: Refusal.self) { try await permits.withPermit { throw Refusal() } }
        #expect(try await permits.withPermit { 7 } == 7)
    }

    private struct Refusal: Error {}

    @Test func asManyAsThereAreAndTheRestInOrder() async throws {
        let permits = Permits(2)
        let held = [try await permits.acquire(), try await permits.acquire()]
        let order = Guarded<[Int]>([])
        var tasks: [Task<Void, any Error>] = []
        for number in 0..<4 {
            tasks.append(
                Task {
                    let permit = try await permits.acquire()
                    order.withLock { $0.append(number) }
                    permit.release()
                })
            // Each is in the queue before the next one comes.
            try await turn { permits.waiting == number + 1 }
        }
        #expect(order.withLock { $0 }.isEmpty)
        held[0].release()
        for task in tasks { try await task.value }
        #expect(order.withLock { $0 } == [0, 1, 2, 3])
        // Held until here: one that is let go of is given to the next.
        held[1].release()
    }

    /// However cancellations and grants cross each other, no permit is lost and none is made.
    @Test func noneIsLostToACancellation() async throws {
        let permits = Permits(3)
        let inside = Guarded((now: 0, most: 0))
        await withTaskGroup { group in
            for number in 0..<400 {
                group.addTask {
                    let task = Task {
                        try await permits.withPermit {
                            inside.withLock {
                                $0.now += 1
                                $0.most = max($0.most, $0.now)
                            }
                            await Task.yield()
                            inside.withLock { $0.now -= 1 }
                        }
                    }
                    if number % 2 == 0 { task.cancel() }
                    _ = await task.result
                }
            }
        }
        #expect(inside.withLock { $0.now } == 0)
        #expect(inside.withLock { $0.most } <= 3)
        let all = [try await permits.acquire(), try await permits.acquire(), try await permits.acquire()]
        #expect(all.count == 3)
    }
}
