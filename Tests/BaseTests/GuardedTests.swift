import Base
import Dispatch
import Testing

struct GuardedTests {
    @Test("admits one thread at a time") func admitsOneThreadAtTime() {
        let total = Guarded(0)
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<10_000 { total.withLock { $0 += 1 } }
        }
        #expect(total.withLock { $0 } == 80_000)
    }

    @Test("wakes a waiting thread") func wakesWaitingThread() {
        let value = Guarded(0)
        DispatchQueue.global().async { value.withLockSignalling { $0 = 7 } }
        #expect(value.waitUntil { $0 == 7 ? $0 : nil } == 7)
    }

    @Test("stops waiting at the timeout") func stopsWaitingAtTimeout() {
        let value = Guarded(0)
        #expect(value.waitUntil(timeout: 1_000_000) { $0 == 1 ? true : nil } == nil)
    }
}
