package import Base
package import ContentStore
package import Planner

/// The identity of a delivery. A delivery brings a startup pack's chunks to the store without a request from the
/// planner.
package struct DeliveryID: Hashable, Sendable {
    package let value: UInt64

    package init(value: UInt64) {
        self.value = value
    }
}

/// The readers that wait for a delivery instead of a request.
package struct WaitingReaders: Sendable {
    /// A reader's demand for chunks.
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

    /// The waiting readers of each delivery, in the order in which they began to wait.
    private var readers: [DeliveryID: [Reader]] = [:]

    package init() {}

    /// The number of waiting readers.
    package var count: Int { readers.values.reduce(0) { $0 + $1.count } }

    /// Makes a reader wait for a delivery.
    package mutating func add(_ reader: Reader, to delivery: DeliveryID) {
        readers[delivery, default: []].append(reader)
    }

    /// Removes and returns those readers of a delivery for which `isDue` returns true.
    package mutating func take(from delivery: DeliveryID, where isDue: (Reader) -> Bool) -> [Reader] {
        guard let all = readers[delivery] else { return [] }
        let due = all.filter(isDue)
        guard !due.isEmpty else { return [] }
        let rest = all.filter { !isDue($0) }
        readers[delivery] = rest.isEmpty ? nil : rest
        return due
    }

    /// Removes and returns all readers of a delivery.
    package mutating func takeAll(from delivery: DeliveryID) -> [Reader] {
        readers.removeValue(forKey: delivery) ?? []
    }

    /// Removes and returns the readers of a layer, or of all layers if `layer` is `nil`.
    package mutating func takeAll(of layer: LayerID? = nil) -> [Reader] {
        Array(readers.keys).flatMap { take(from: $0) { layer == nil || $0.layer == layer } }
    }

    /// Removes a demand, and returns true if it was waiting for a delivery.
    package mutating func remove(_ demand: DemandID) -> Bool {
        Array(readers.keys).contains { !take(from: $0) { $0.demand == demand }.isEmpty }
    }
}
