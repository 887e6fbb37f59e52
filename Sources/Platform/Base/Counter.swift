import Synchronization

/// A counter for metrics. Any number of threads can increment and read the counter. Its atomic operations are relaxed:
/// they do not order other memory accesses.
public final class Counter: Sendable {
    private let storage = Atomic<UInt64>(0)

    public init() {}

    /// Adds `amount`.
    @inline(__always)
    public func add(_ amount: UInt64 = 1) {
        storage.wrappingAdd(amount, ordering: .relaxed)
    }

    /// The current count.
    public var value: UInt64 { storage.load(ordering: .relaxed) }
}
