import Base
import Concurrency
import Linux
import Synchronization
import Testing

@Suite("operation barrier", .timeLimit(.minutes(1))) struct OperationBarrierTests {
    /// A value that operations may use only while it is valid.
    private final class Resource: Sendable {
        let isAnnounced = Atomic(true)
        let isValid = Atomic(true)
    }

    @Test("waits for every operation that saw the old state") func waits() throws {
        let barrier = OperationBarrier()
        let resource = Resource()
        let (violations, uses, isOver) = (Counter(), Counter(), Resource())
        let threads = try (0..<4).map { number in
            try NamedThread(name: "operation-\(number)") {
                while isOver.isValid.load(ordering: .relaxed) {
                    barrier.during {
                        guard resource.isAnnounced.load(ordering: .sequentiallyConsistent) else { return }
                        for _ in 0..<50 where !resource.isValid.load(ordering: .sequentiallyConsistent) {
                            violations.add()
                        }
                        uses.add()
                    }
                }
            }
        }
        var rounds = 0
        // On a busy machine, the threads may begin late.
        while rounds < 2000 || uses.value == 0 {
            rounds += 1
            resource.isAnnounced.store(false, ordering: .sequentiallyConsistent)
            barrier.waitForEarlier()
            resource.isValid.store(false, ordering: .sequentiallyConsistent)
            resource.isValid.store(true, ordering: .sequentiallyConsistent)
            resource.isAnnounced.store(true, ordering: .sequentiallyConsistent)
        }
        isOver.isValid.store(false, ordering: .relaxed)
        for thread in threads { thread.join() }
        #expect(violations.value == 0)
    }
}
