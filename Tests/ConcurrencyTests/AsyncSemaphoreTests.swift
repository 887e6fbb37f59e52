import Base
import Concurrency
import Testing

struct AsyncSemaphoreTests {
    private struct Refusal: Error {}

    @Test("a permit released twice comes back once")
    func doubleRelease() async throws {
        let semaphore = AsyncSemaphore(1)
        let first = try await semaphore.acquire()
        first.release()
        first.release()
        let second = try await semaphore.acquire()
        let third = Task { try await semaphore.acquire() }
        try await turn { semaphore.waiterCount == 1 }
        third.cancel()
        await #expect(throws: CancellationError.self) { try await third.value }
        #expect(semaphore.waiterCount == 0)
        second.release()
        try await semaphore.acquire().release()
    }

    @Test("a dropped permit comes back, and so does that of a body that throws")
    func droppedPermit() async throws {
        let semaphore = AsyncSemaphore(1)
        for _ in 0..<3 { _ = try await semaphore.acquire() }
        await #expect(throws: Refusal.self) { try await semaphore.withPermit { throw Refusal() } }
        #expect(try await semaphore.withPermit { 7 } == 7)
    }

    @Test("grants as many as there are, the rest in order")
    func grantsInOrder() async throws {
        let semaphore = AsyncSemaphore(2)
        let held = [try await semaphore.acquire(), try await semaphore.acquire()]
        let order = Guarded<[Int]>([])
        var tasks: [Task<Void, any Error>] = []
        for number in 0..<4 {
            tasks.append(
                Task {
                    let permit = try await semaphore.acquire()
                    order.withLock { $0.append(number) }
                    permit.release()
                })
            // Wait until this task is in the queue before the next one starts.
            try await turn { semaphore.waiterCount == number + 1 }
        }
        #expect(order.withLock { $0 }.isEmpty)
        held[0].release()
        for task in tasks { try await task.value }
        #expect(order.withLock { $0 } == [0, 1, 2, 3])
        held[1].release()
    }

    /// In any order of cancellations and grants, no permit is lost or created.
    @Test("loses no permit to a cancellation")
    func cancellations() async throws {
        let semaphore = AsyncSemaphore(3)
        let inside = Guarded((now: 0, most: 0))
        await withTaskGroup { group in
            for number in 0..<400 {
                group.addTask {
                    let task = Task {
                        try await semaphore.withPermit {
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
        let all = [try await semaphore.acquire(), try await semaphore.acquire(), try await semaphore.acquire()]
        #expect(all.count == 3)
    }
}
