import Base
import Concurrency
import Glibc
import Testing

struct KeyedLockTests {
    private struct Refusal: Error {}

    /// Runs `body` on `count` threads at once.
    private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        final class Box: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var threads: [pthread_t] = []
        for number in 0..<count {
            var thread = pthread_t()
            let box = Unmanaged.passRetained(Box { body(number) })
            let code = pthread_create(
                &thread, nil,
                { pointer in
                    // This releases the box that was retained for this thread.
                    pointer.map { Unmanaged<Box>.fromOpaque($0).takeRetainedValue().body() }
                    return nil
                }, box.toOpaque())
            #expect(code == 0)
            threads.append(thread)
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    @Test("admits one thread a key")
    func excludes() {
        let lock = KeyedLock<Int>()
        let inside = Guarded([0, 0])
        let entries = Guarded(0)
        onThreads(8) { number in
            for _ in 0..<500 {
                lock.withKey(number % 2) {
                    let now = inside.withLock { inside in
                        inside[number % 2] += 1
                        return inside[number % 2]
                    }
                    #expect(now == 1)
                    entries.withLock { $0 += 1 }
                    sched_yield()
                    inside.withLock { $0[number % 2] -= 1 }
                }
            }
        }
        #expect(entries.withLock { $0 } == 4000)
    }

    @Test("threads with different keys work side by side")
    func keysAreIndependent() {
        let lock = KeyedLock<String>()
        #expect(lock.withKey("a") { lock.withKey("b") { 5 } } == 5)
    }

    @Test("is free again after a body that throws")
    func throwingBody() {
        let (keyed, plain) = (KeyedLock<Int>(), BlockingLock())
        for _ in 0..<2 {
            #expect(throws: Refusal.self) { try keyed.withKey(1) { throw Refusal() } }
            #expect(throws: Refusal.self) { try plain.withLock { throw Refusal() } }
        }
    }

    @Test("a blocking lock admits one thread")
    func blockingLock() {
        let (lock, inside, entries) = (BlockingLock(), Guarded(0), Guarded(0))
        onThreads(6) { _ in
            for _ in 0..<500 {
                lock.withLock {
                    #expect(
                        inside.withLock { inside in
                            inside += 1
                            return inside
                        } == 1)
                    sched_yield()
                    inside.withLock { $0 -= 1 }
                    entries.withLock { $0 += 1 }
                }
            }
        }
        #expect(entries.withLock { $0 } == 3000)
    }
}
