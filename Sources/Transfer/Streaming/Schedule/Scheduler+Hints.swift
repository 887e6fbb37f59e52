import Base
import ContentStore
import LayerIndex
import Logging
import Planner

/// The handling of start hints, and of the startup packs that some of them name.
extension Scheduler {
    /// Begins to fetch the chunks that a hint names. Skips the chunks of a layer if a better hint already covers
    /// everything that the start of the layer's image reads.
    func prefetch(_ hint: StartHint) {
        switch hint.content {
        case .runs(let runs): prefetch(runs, hint.source)
        case .pack(let request, let layers): receive(request, source: hint.source, layers: layers)
        }
    }

    private func prefetch(_ runs: [ChunkRun], _ source: HintSource) {
        // A hint may have tens of thousands of runs. So their extents are looked up before the lock is taken, and
        // readers do not wait for the lock.
        let missing = runs.compactMap { run in
            LayerMap(content: run.layer).extents(missingIn: run.chunks).map { (run, $0) }
        }
        apply { state, now in
            var admitted: [LayerID: Bool] = [:]
            var wanted: [(layer: LayerID, extents: Range<Int>)] = []
            for (run, extents) in missing {
                guard let known = state.byKey[run.layer.key] else { continue }
                let isAdmitted = admitted[known.id] ?? state.admits(source, on: known.id, now: now)
                admitted[known.id] = isAdmitted
                guard isAdmitted,
                    !state.deliveries.brings(
                        known.id, chunks: run.chunks, to: source, isPresent: known.content.isPresent)
                else { continue }
                wanted.append((known.id, extents))
            }
            return state.planner.prefetch(wanted, source: source, now: now)
        }
    }

    /// Starts the transfer of a startup pack, unless better hints already cover each of `layers`.
    private func receive(_ request: PackRequest, source: HintSource, layers: [StoredLayer]) {
        let order = state.withLock { state -> PackOrder? in
            let now = MonotonicTime.now()
            let ids = Set(layers.compactMap { state.byKey[$0.key]?.id })
            guard ids.contains(where: { state.admits(source, on: $0, now: now) }) else { return nil }
            let id = state.deliveries.begin(ids, source: source, now: now)
            return PackOrder(id: id, source: source, request: request, layers: ids)
        }
        if let order { orders.yield(.pack(order)) }
    }

    // MARK: - Packs

    /// Matches a pack's chunks with the attached layers. From then on, readers of these chunks may wait for the pack.
    ///
    /// The pack is not worth its transfer if the missing chunks make up less than half of its decoded bytes. The
    /// function then ends the transfer, and fetches the missing chunks from their layers' blobs.
    ///
    /// - Returns: all chunks of the pack, in the pack's order; `nil` if the function ended the transfer.
    func open(_ pack: StartupPack, _ order: PackOrder) -> [PackFrame.Item]? {
        let layers = state.withLock { state in
            let now = MonotonicTime.now()
            // A pack names layers by blob. Only the layers of the hint's own image are meant.
            let candidates = order.layers.compactMap { state.layers[$0] }
            return pack.layers.map { digest -> AttachedLayer? in
                guard let layer = candidates.first(where: { $0.content.digest == digest }),
                    state.admits(order.source, on: layer.id, except: order.id, now: now)
                else { return nil }
                return layer
            }
        }
        let items = pack.pieces.map { piece in
            var layer = layers[piece.layer]
            if let content = layer?.content,
                piece.chunk >= content.chunks.chunkCount
                    || content.chunks.chunk(piece.chunk).content.count != UInt64(piece.length)
            {
                layer = nil
            }
            return PackFrame.Item(layer: layer, chunk: piece.chunk, length: piece.length)
        }
        var coming: [LayerID: [Int: UInt64]] = [:]
        var missing: [ChunkRun] = []
        var bytes: UInt64 = 0
        for frame in pack.frames {
            for item in items[frame.pieces] {
                guard let layer = item.layer, !layer.content.isPresent(item.chunk) else { continue }
                coming[layer.id, default: [:]][item.chunk] = frame.range.end
                missing.append(ChunkRun(layer: layer.content, chunks: item.chunk..<item.chunk + 1))
                bytes += UInt64(item.length)
            }
        }
        let all = pack.pieces.reduce(0) { $0 + UInt64($1.length) }
        guard bytes > 0, bytes >= all / 2 else {
            _ = end(order.id)
            prefetch(missing, order.source)
            return nil
        }
        apply { [coming, missing] state, now in
            state.deliveries.open(order.id, coming: coming, runs: missing, frames: pack.frames.count)
            state.planner.noteDelivery(of: coming.keys, source: order.source, now: now)
            return []
        }
        return items
    }

    /// Records that the pack's bytes have arrived up to the byte offset `position`. Returns false if the pack's
    /// transfer has already ended, for example because the pack was abandoned.
    func moved(_ id: DeliveryID, to position: UInt64) -> Bool {
        state.withLock { state in
            let now = MonotonicTime.now()
            guard let delivery = state.deliveries.moved(id, to: position, now: now) else { return false }
            // Speculative fetches and fill pause while a pack arrives, so that the pack gets all the bandwidth.
            state.planner.noteDelivery(of: delivery.layers, source: delivery.source, now: now)
            return true
        }
    }

    /// Records the outcome of decoding a frame. If the frame could not be decoded or stored, abandons its pack.
    func decoded(_ frame: PackFrame, _ outcome: ExtentOutcome) {
        switch outcome {
        case .available: break
        case .corrupt(let reason), .unstorable(let reason): return abandon(frame.delivery, reason)
        }
        apply { state, now in
            let chunks = frame.items.compactMap { item in item.layer.map { (layer: $0.id, chunk: item.chunk) } }
            let layers = state.layers
            let readers = state.deliveries.published(frame.delivery, chunks: chunks) { layer, chunk in
                layers[layer]?.content.isAvailable(chunk) ?? true
            }
            return Self.release(readers, state: &state, now: now)
        }
    }

    /// Ends the wait of readers that have waited too long for a pack. The planner then requests their chunks.
    func releaseOverdue(_ id: DeliveryID) {
        apply { state, now in Self.release(state.deliveries.overdue(id, now: now), state: &state, now: now) }
    }

    /// Abandons a pack. Hands its readers to the planner, and fetches its missing chunks from their layers' blobs.
    func abandon(_ id: DeliveryID, _ reason: String) {
        let (rest, source) = end(id)
        // At shutdown, ``stop(reason:)`` has already removed the pack, and there is nothing to report.
        if rest.isEmpty, Task.isCancelled { return }
        counters.packsAbandoned.add()
        logger.warning("startup pack abandoned", metadata: ["reason": "\(reason)", "left": "\(rest.count)"])
        prefetch(rest, source)
    }

    private func end(_ id: DeliveryID) -> (rest: [ChunkRun], source: HintSource) {
        var left: (rest: [ChunkRun], source: HintSource) = ([], .prediction)
        apply { state, now in
            guard let ended = state.deliveries.end(id) else { return [] }
            left = (ended.rest, ended.source)
            return Self.release(ended.readers, state: &state, now: now)
        }
        return left
    }

    /// Returns the actions that complete the readers whose chunks have all arrived. Hands the other readers to the
    /// planner, and also returns the planner's actions.
    private static func release(
        _ readers: [WaitingReaders.Reader], state: inout State, now: MonotonicTime
    ) -> [PlannerAction] {
        readers.flatMap { reader -> [PlannerAction] in
            if let extents = state.layers[reader.layer]?.map.extents(missingIn: reader.chunks) {
                return state.planner.demand(reader.demand, layer: reader.layer, extents: extents, now: now)
            }
            state.planner.noteDelivered(reader.layer, since: reader.since, now: now)
            return [.complete(reader.demand, .available)]
        }
    }
}

extension Scheduler.State {
    /// Returns true if a hint from `source` may fetch chunks of the layer now
    /// (``PackDeliveries/admits(_:on:known:except:)``).
    fileprivate func admits(
        _ source: HintSource, on layer: LayerID, except id: DeliveryID? = nil, now: MonotonicTime
    ) -> Bool {
        deliveries.admits(source, on: layer, known: planner.knownStart(of: layer, now: now), except: id)
    }
}
