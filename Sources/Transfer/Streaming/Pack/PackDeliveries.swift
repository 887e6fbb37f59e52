import Base
import ContentStore
import Planner

/// One startup pack that is on its way.
struct DeliveryID: Hashable {
    let value: UInt64
}

/// What startup packs are bringing, and the readers who wait for it.
///
/// A reader whose chunks a pack brings soon waits for it, and costs no request; every other, and those whose pack breaks or
/// stands still, are the planner's.
struct PackDeliveries {
    /// A demand that a pack is to answer.
    struct Waiter: Sendable {
        let demand: DemandID
        let layer: AttachedLayer
        let chunks: Range<Int>
        let since: MonotonicTime
    }

    private struct Delivery {
        /// Layers that it is about.
        let digests: Set<Digest>
        /// Whether nobody has seen a start.
        let isPredicted: Bool
        /// What it still brings: by layer, the chunks and where in the pack the frame of each ends.
        var coming: [LayerID: [Int: UInt64]] = [:]
        /// All that it brings, in its order.
        var pieces: [ChunkRun] = []
        var framesLeft = 0
        var waiters: [Waiter] = []
        /// How far into the pack the bytes have come, and when they last did.
        var position: UInt64 = 0
        var moved: MonotonicTime
    }

    /// A reader waits for a pack no longer than this, in nanoseconds.
    private static let patience: UInt64 = 3_000_000_000
    /// A pack of which nothing has come for so long stands still.
    private static let stillness: UInt64 = 1_000_000_000

    private var deliveries: [DeliveryID: Delivery] = [:]
    private var last: UInt64 = 0

    /// A pack for these layers has been asked for.
    mutating func begin(_ digests: Set<Digest>, isPredicted: Bool, _ now: MonotonicTime) -> DeliveryID {
        last += 1
        let id = DeliveryID(value: last)
        deliveries[id] = Delivery(digests: digests, isPredicted: isPredicted, moved: now)
        return id
    }

    /// Its tables are here: this is what it brings.
    mutating func found(
        _ id: DeliveryID, _ coming: [LayerID: [Int: UInt64]], _ pieces: [ChunkRun], frames: Int
    ) {
        deliveries[id]?.coming = coming
        deliveries[id]?.pieces = pieces
        deliveries[id]?.framesLeft = frames
    }

    /// Its bytes have come as far as `position`. False when it has been abandoned.
    mutating func moved(_ id: DeliveryID, to position: UInt64, _ now: MonotonicTime) -> Bool {
        deliveries[id]?.position = position
        deliveries[id]?.moved = now
        return deliveries[id] != nil
    }

    /// Whether a pack is on its way for the layer.
    func isDelivering(_ layer: Digest) -> Bool {
        deliveries.values.contains { $0.digests.contains(layer) }
    }

    /// Whether a pack of a start that was seen is on its way for the layer, or one of which is not known yet what it brings: nothing
    /// need be guessed beside it.
    func foretells(_ layer: Digest) -> Bool {
        deliveries.values.contains { $0.digests.contains(layer) && !($0.isPredicted && !$0.pieces.isEmpty) }
    }

    /// Layers that a pack brings something of.
    func layers(_ id: DeliveryID) -> [LayerID] { deliveries[id].map { Array($0.coming.keys) } ?? [] }

    /// Whether everything that is missing of `chunks` is on its way.
    func brings(_ layer: AttachedLayer, _ chunks: Range<Int>) -> Bool {
        deliveries.values.contains { delivery in
            guard let coming = delivery.coming[layer.id] else { return false }
            return chunks.allSatisfy { coming[$0] != nil || layer.content.isPresent($0) }
        }
    }

    /// Has a reader wait for a pack, if one brings all that is missing within `distance` bytes.
    mutating func park(_ waiter: Waiter, distance: UInt64) -> Bool {
        for (id, delivery) in deliveries {
            guard let coming = delivery.coming[waiter.layer.id], waiter.since.since(delivery.moved) < Self.stillness,
                waiter.chunks.allSatisfy({ chunk in
                    if let end = coming[chunk] { return end <= delivery.position + distance }
                    return waiter.layer.content.isPresent(chunk)
                })
            else { continue }
            deliveries[id]?.waiters.append(waiter)
            return true
        }
        return false
    }

    /// A frame with these chunks has been published; gives those who need not wait for the pack any longer.
    mutating func published(_ id: DeliveryID, _ chunks: [(layer: LayerID, chunk: Int)]) -> [Waiter] {
        guard var delivery = deliveries.removeValue(forKey: id) else { return [] }
        for (layer, chunk) in chunks { delivery.coming[layer]?[chunk] = nil }
        delivery.framesLeft -= 1
        var freed: [Waiter] = []
        delivery.waiters.removeAll { waiter in
            let coming = delivery.coming[waiter.layer.id]
            let isDue = waiter.chunks.allSatisfy { coming?[$0] == nil || waiter.layer.content.isPresent($0) }
            if isDue { freed.append(waiter) }
            return isDue
        }
        if delivery.framesLeft > 0 { deliveries[id] = delivery }
        return freed
    }

    /// Readers who have waited too long.
    mutating func overdue(_ id: DeliveryID, _ now: MonotonicTime) -> [Waiter] {
        guard let delivery = deliveries[id] else { return [] }
        let isStill = now.since(delivery.moved) >= Self.stillness
        var freed: [Waiter] = []
        deliveries[id]?.waiters.removeAll { waiter in
            let isDue = isStill || now.since(waiter.since) >= Self.patience
            if isDue { freed.append(waiter) }
            return isDue
        }
        return freed
    }

    /// It will bring nothing more; what it would have brought is given too.
    mutating func end(_ id: DeliveryID) -> (waiters: [Waiter], rest: [ChunkRun], isPredicted: Bool) {
        let delivery = deliveries.removeValue(forKey: id)
        return (delivery?.waiters ?? [], delivery?.pieces ?? [], delivery?.isPredicted ?? false)
    }

    /// Takes out the demand, if it waits here.
    mutating func cancel(_ demand: DemandID) -> Bool {
        for (id, delivery) in deliveries {
            guard let index = delivery.waiters.firstIndex(where: { $0.demand == demand }) else { continue }
            deliveries[id]?.waiters.remove(at: index)
            return true
        }
        return false
    }

    /// Takes out everybody who waits for a layer, or for any.
    mutating func drop(_ layer: LayerID? = nil) -> [Waiter] {
        var dropped: [Waiter] = []
        for id in Array(deliveries.keys) {
            if let layer { deliveries[id]?.coming[layer] = nil }
            deliveries[id]?.waiters.removeAll { waiter in
                guard layer == nil || waiter.layer.id == layer else { return false }
                dropped.append(waiter)
                return true
            }
        }
        if layer == nil { deliveries = [:] }
        return dropped
    }
}
