import Synchronization

/// A number that many threads add to and a metrics page reads. Relaxed: it orders nothing.
public final class Counter: Sendable {
    private let storage = Atomic<UInt64>(0)

    public init() {}

    /// Adds `amount`.
    @inline(__always)
    public func add(_ amount: UInt64 = 1) {
        storage.wrappingAdd(amount, ordering: .relaxed)
    }

    /// What has been added so far.
    public var value: UInt64 { storage.load(ordering: .relaxed) }
}
