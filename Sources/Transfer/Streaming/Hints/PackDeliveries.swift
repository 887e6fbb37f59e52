package import Base
package import ContentStore
package import Planner

/// The startup packs in flight, and the readers that wait for them. A startup pack is one blob with the chunks that a
/// container start reads.
///
/// A reader whose chunks will soon arrive in a pack waits for the pack, and causes no request. All other readers go to
/// the planner, which sends requests for their chunks. If a pack fails or stalls, its waiting readers go to the
/// planner, too.
package struct PackDeliveries: Sendable {
    /// The transfer of one startup pack to the content store.
    private struct Delivery {
        /// The attached layers whose chunks the pack may contain.
        let layers: Set<LayerID>
        /// The most trusted ``HintSource`` among the hints that rely on the pack for their chunks.
        var source: HintSource
        /// True if the pack's tables have arrived, so that the engine knows the pack's chunks.
        var isOpen = false
        /// The chunks that the pack has still to bring, by layer. In the inner dictionary, the key is the chunk's
        /// number. The value is the end of the chunk's frame, as a byte offset in the pack.
        var coming: [LayerID: [Int: UInt64]] = [:]
        /// The chunks that were missing on this node when the pack's tables arrived, in the pack's order.
        var runs: [ChunkRun] = []
        var framesLeft = 0
        /// The number of bytes of the pack that have arrived.
        var position: UInt64 = 0
        /// The time at which bytes of the pack last arrived. Until the first bytes arrive, it is the time at which the
        /// pack's transfer began.
        var moved: MonotonicTime
    }

    /// The maximum time that a reader waits for a pack, in nanoseconds.
    private static let patience: UInt64 = 3_000_000_000
    /// The time in nanoseconds after which a pack counts as stalled if no bytes arrive.
    private static let stall: UInt64 = 1_000_000_000

    private var deliveries: [DeliveryID: Delivery] = [:]
    private var readers = WaitingReaders()
    private var last: UInt64 = 0

    package init() {}

    /// The number of packs in flight.
    package var count: Int { deliveries.count }

    // MARK: - Progress

    /// Records that the transfer of a pack has begun.
    ///
    /// - Parameters:
    ///   - layers: the attached layers whose chunks the pack may contain.
    ///   - source: the source of the hint that names the pack.
    package mutating func begin(_ layers: Set<LayerID>, source: HintSource, now: MonotonicTime) -> DeliveryID {
        last += 1
        let id = DeliveryID(value: last)
        deliveries[id] = Delivery(layers: layers, source: source, moved: now)
        return id
    }

    /// Records which chunks a pack brings, after its tables have arrived.
    ///
    /// - Parameters:
    ///   - coming: the chunks that are missing on this node, by layer. In the inner dictionary, the key is the chunk's
    ///     number. The value is the end of the chunk's frame, as a byte offset in the pack.
    ///   - runs: the same chunks in the pack's order.
    ///   - frames: the number of frames in the pack.
    package mutating func open(
        _ id: DeliveryID, coming: [LayerID: [Int: UInt64]], runs: [ChunkRun], frames: Int
    ) {
        deliveries[id]?.isOpen = true
        deliveries[id]?.coming = coming
        deliveries[id]?.runs = runs
        deliveries[id]?.framesLeft = frames
    }

    /// Records that the pack's bytes have arrived up to the byte offset `position`.
    ///
    /// - Returns: the most trusted source among the hints that rely on the pack, and the layers whose chunks the pack
    ///   brings; `nil` if the pack's transfer has ended.
    package mutating func moved(
        _ id: DeliveryID, to position: UInt64, now: MonotonicTime
    ) -> (source: HintSource, layers: [LayerID])? {
        deliveries[id]?.position = position
        deliveries[id]?.moved = now
        return deliveries[id].map { ($0.source, Array($0.coming.keys)) }
    }

    /// Records that a frame of a pack is in the store.
    ///
    /// - Parameters:
    ///   - chunks: the chunks of the frame.
    ///   - isPresent: returns true if a chunk of a layer is in the store.
    /// - Returns: the readers that no longer have to wait for the pack. After the last frame, these are all readers
    ///   that still wait for the pack.
    package mutating func published(
        _ id: DeliveryID, chunks: [(layer: LayerID, chunk: Int)], isPresent: (LayerID, Int) -> Bool
    ) -> [WaitingReaders.Reader] {
        guard var delivery = deliveries.removeValue(forKey: id) else { return [] }
        for (layer, chunk) in chunks { delivery.coming[layer]?[chunk] = nil }
        delivery.framesLeft -= 1
        let isLast = delivery.framesLeft <= 0
        if !isLast { deliveries[id] = delivery }
        return readers.take(from: id) { reader in
            let coming = delivery.coming[reader.layer]
            return isLast || reader.chunks.allSatisfy { coming?[$0] == nil || isPresent(reader.layer, $0) }
        }
    }

    /// Ends the transfer of a pack that will bring no more chunks. Returns `nil` if the transfer has already ended.
    ///
    /// Otherwise, `readers` are the readers that wait for the pack. `rest` has all chunks that were missing when the
    /// pack's tables arrived, including chunks that the pack has brought since. If some of these chunks are still
    /// missing, the caller must fetch them from their layers' blobs. `source` is the most trusted source among the
    /// hints that rely on the pack.
    package mutating func end(_ id: DeliveryID) -> (
        readers: [WaitingReaders.Reader], rest: [ChunkRun], source: HintSource
    )? {
        guard let delivery = deliveries.removeValue(forKey: id) else { return nil }
        return (readers.takeAll(from: id), delivery.runs, delivery.source)
    }

    // MARK: - Hints

    /// Returns the most trusted source among the packs that may cover `layer`; `nil` if there is no such pack. A pack
    /// covers a layer if it brings everything that the start of the layer's image reads.
    ///
    /// Until a pack's tables arrive, the pack may cover all of its layers, because its chunks are unknown. From then
    /// on, only a pack from a recorded start may cover its layers.
    ///
    /// - Parameter id: the pack to leave out; `nil` for none.
    package func coverage(of layer: LayerID, except id: DeliveryID? = nil) -> HintSource? {
        deliveries.filter { other, delivery in
            other != id && delivery.layers.contains(layer) && (!delivery.isOpen || delivery.source.isRecorded)
        }.map(\.value.source).max()
    }

    /// Returns true if a single pack brings all missing chunks of `chunks`. In that case, records that a hint from
    /// `source` relies on this pack.
    package mutating func brings(
        _ layer: LayerID, chunks: Range<Int>, to source: HintSource, isPresent: (Int) -> Bool
    ) -> Bool {
        let found = deliveries.first { _, delivery in
            guard let coming = delivery.coming[layer] else { return false }
            return chunks.allSatisfy { coming[$0] != nil || isPresent($0) }
        }
        guard let (id, delivery) = found else { return false }
        deliveries[id]?.source = max(delivery.source, source)
        return true
    }

    // MARK: - Readers

    /// Makes a reader wait for a pack if the pack's next `distance` bytes bring all of the reader's missing chunks.
    /// Ignores stalled packs. Returns false if there is no suitable pack.
    package mutating func park(
        _ reader: WaitingReaders.Reader, distance: UInt64, isPresent: (Int) -> Bool
    ) -> Bool {
        for (id, delivery) in deliveries {
            guard let coming = delivery.coming[reader.layer], reader.since.since(delivery.moved) < Self.stall,
                reader.chunks.allSatisfy({ chunk in
                    if let end = coming[chunk] { return end <= delivery.position + distance }
                    return isPresent(chunk)
                })
            else { continue }
            readers.add(reader, to: id)
            return true
        }
        return false
    }

    /// Removes and returns the readers that have waited for this pack for ``patience`` or longer. If the pack has
    /// stalled, removes and returns all of its readers.
    package mutating func overdue(_ id: DeliveryID, now: MonotonicTime) -> [WaitingReaders.Reader] {
        guard let delivery = deliveries[id] else { return [] }
        let isStalled = now.since(delivery.moved) >= Self.stall
        return readers.take(from: id) { isStalled || now.since($0.since) >= Self.patience }
    }

    /// Removes the reader of a demand. Returns true if the reader was waiting for a pack.
    package mutating func cancel(_ demand: DemandID) -> Bool { readers.remove(demand) }

    /// Removes a layer from all packs. Returns the readers that waited for its chunks.
    package mutating func drop(_ layer: LayerID) -> [WaitingReaders.Reader] {
        for id in Array(deliveries.keys) { deliveries[id]?.coming[layer] = nil }
        return readers.takeAll(of: layer)
    }

    /// Removes all packs. Returns all waiting readers.
    package mutating func dropAll() -> [WaitingReaders.Reader] {
        deliveries = [:]
        return readers.takeAll()
    }
}
