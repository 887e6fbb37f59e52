import Glibc
import Synchronization

/// A barrier between short operations of many threads and one thread that must wait for the end of these operations.
///
/// The waiting thread changes something that the operations look at, and then calls ``waitForEarlier()``. After that
/// call, no operation that saw the old state is running. An operation costs two atomic additions and never waits.
///
/// The barrier counts the operations on two sides. New operations go to the current side. The waiting thread makes the
/// other side the current one, and waits until the old side is empty. It does so twice, because an operation may have
/// read the number of the current side long before it was counted.
public final class OperationBarrier: Sendable {
    private let current = Atomic<Int>(0)
    private let sides = InlineArray<2, Atomic<Int>> { _ in Atomic(0) }

    public init() {}

    /// Runs `body` as an operation. `body` must not call ``waitForEarlier()``.
    @inline(__always)
    public func during<Result: ~Copyable, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure)
        -> Result
    {
        let side = enter()
        defer { leave(side) }
        return try body()
    }

    /// Waits until all operations that began before this call have ended. Blocks the calling thread. Only one thread at
    /// a time may call this function.
    public func waitForEarlier() {
        for _ in 0..<2 {
            let side = current.load(ordering: .sequentiallyConsistent)
            current.store(1 - side, ordering: .sequentiallyConsistent)
            var rounds = 0
            while sides[side].load(ordering: .sequentiallyConsistent) != 0 {
                // Most operations end within microseconds. One that reads from a slow disk takes longer.
                rounds += 1
                if rounds < 100 { sched_yield() } else { usleep(100) }
            }
        }
    }

    private func enter() -> Int {
        let side = current.load(ordering: .sequentiallyConsistent)
        sides[side].wrappingAdd(1, ordering: .sequentiallyConsistent)
        return side
    }

    private func leave(_ side: Int) {
        sides[side].wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }
}
