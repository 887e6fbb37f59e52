package import Base
package import ContentStore
package import Planner

/// The identity of a delivery, which is the transfer of one startup pack to the content store.
package struct DeliveryID: Hashable, Sendable {
    package let value: UInt64

    package init(value: UInt64) {
        self.value = value
    }
}

/// The readers that wait for startup packs in flight. Such a reader causes no request of its own.
package struct WaitingReaders: Sendable {
    /// A blocked reader, and the chunks that it waits for.
    package struct Reader: Sendable, Hashable {
        package let demand: DemandID
        package let layer: LayerID
        package let chunks: Range<Int>
        /// The time at which the reader began to wait.
        package let since: MonotonicTime

        package init(demand: DemandID, layer: LayerID, chunks: Range<Int>, since: MonotonicTime) {
            self.demand = demand
            self.layer = layer
            self.chunks = chunks
            self.since = since
        }
    }

    /// The waiting readers of each pack in flight, in the order in which they began to wait.
    private var readers: [DeliveryID: [Reader]] = [:]

    package init() {}

    /// The number of waiting readers.
    package var count: Int { readers.values.reduce(0) { $0 + $1.count } }

    /// Makes a reader wait for a pack in flight.
    package mutating func add(_ reader: Reader, to delivery: DeliveryID) {
        readers[delivery, default: []].append(reader)
    }

    /// Removes and returns those readers of a pack in flight that `isDue` accepts.
    package mutating func take(from delivery: DeliveryID, where isDue: (Reader) -> Bool) -> [Reader] {
        guard let all = readers[delivery] else { return [] }
        let due = all.filter(isDue)
        guard !due.isEmpty else { return [] }
        let rest = all.filter { !isDue($0) }
        readers[delivery] = rest.isEmpty ? nil : rest
        return due
    }

    /// Removes and returns all readers of a pack in flight.
    package mutating func takeAll(from delivery: DeliveryID) -> [Reader] {
        readers.removeValue(forKey: delivery) ?? []
    }

    /// Removes and returns the readers of a layer, or of all layers if `layer` is `nil`.
    package mutating func takeAll(of layer: LayerID? = nil) -> [Reader] {
        Array(readers.keys).flatMap { take(from: $0) { layer == nil || $0.layer == layer } }
    }

    /// Removes the reader of a demand. Returns true if the reader was waiting for a pack.
    package mutating func remove(_ demand: DemandID) -> Bool {
        Array(readers.keys).contains { !take(from: $0) { $0.demand == demand }.isEmpty }
    }
}
