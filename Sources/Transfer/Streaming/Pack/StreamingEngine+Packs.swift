import Base
public import ContentStore
import LayerIndex
import Logging
import NIOCore
import Planner
import Registry

/// A frame of a startup pack on its way through decoding.
struct PackFrame: Sendable {
    struct Item: Sendable {
        /// `nil` when its layer is not here, or has another index: its bytes are passed over.
        let layer: AttachedLayer?
        let chunk: Int
        let length: Int
    }

    let delivery: DeliveryID
    let items: [Item]
}

/// Startup packs: what a start needs, in one request.
extension StreamingEngine {
    /// Has a startup pack fetched. Readers of what it brings wait for it as long as it comes; what goes wrong with it
    /// turns it into a profile, whose chunks are fetched from the layers.
    public func replay(_ order: PackOrder) {
        let id = state.withLock { $0.packs.begin(order.digests, isPredicted: order.isPredicted, .now()) }
        orders.yield(.pack(id, order))
    }

    /// Whether a startup pack is on its way for one of the layers.
    public func isDelivering(_ layers: [StoredLayer]) -> Bool {
        state.withLock { state in layers.contains { state.packs.isDelivering($0.digest) } }
    }

    func carryOut(_ id: DeliveryID, _ order: PackOrder) async {
        let watch = Task { [weak self] in
            while (try? await Task.sleep(nanoseconds: 250_000_000)) != nil {
                self?.apply { state, now in Self.free(state.packs.overdue(id, now), &state, now) }
            }
        }
        defer { watch.cancel() }
        do {
            try await deliver(id, order)
        } catch {
            abandon(id, "\(error)")
        }
    }

    private func deliver(_ id: DeliveryID, _ order: PackOrder) async throws {
        guard order.size <= StartupPack.maximumSize else {
            throw StreamingError(.badPack, "a startup pack of \(order.size) bytes")
        }
        let stream: BlobStream
        if let opened = try? await order.opening?.value, opened.blobSize == order.size {
            stream = opened
        } else {
            stream = try await registry.open(order.location, .whole, priority: .demand, knownSize: order.size)
        }
        var found: [StoredLayer]?
        for await layers in order.layers {
            found = layers
            break
        }
        guard let found else { throw StreamingError(.badPack, "none of its layers is streamed") }
        var body = BodyCursor(stream, received: counters.packBytes, skipped: counters.skipped)
        let head = try await body.bytes(ByteRange(offset: 0, end: UInt64(StartupPack.headSize)))
        let tableEnd = UInt64(try StartupPack.tableEnd(head))
        let tables = try await body.bytes(ByteRange(offset: UInt64(StartupPack.headSize), end: tableEnd))
        let pack = try StartupPack(tables: head + tables, size: order.size)
        guard let items = expect(id, pack, order, found) else { return }
        counters.packs.add()
        for frame in pack.frames {
            let pieces = try await body.take(frame.range)
            let isWanted = state.withLock { state in
                let now = MonotonicTime.now()
                // Nothing is guessed beside a pack, and the link is its own.
                state.planner.isForetold(state.packs.layers(id), isPredicted: order.isPredicted, now: now)
                return state.packs.moved(id, to: frame.range.end, now)
            }
            guard isWanted, !Task.isCancelled else { return }
            let job = DecodeJob(
                work: .frame(PackFrame(delivery: id, items: Array(items[frame.pieces]))), pieces: pieces,
                byteCount: Int(frame.range.count))
            if await queue.append(job, awaited: true) { counters.backPressure.add() }
        }
    }

    /// Takes note of what a pack brings. `nil` when too much of it is here for the pack to be worth its bytes: what is
    /// missing is then fetched as a profile is.
    private func expect(
        _ id: DeliveryID, _ pack: StartupPack, _ order: PackOrder, _ found: [StoredLayer]
    ) -> [PackFrame.Item]? {
        let attached = state.withLock { state in pack.layers.map { state.byDigest[$0] } }
        let here = Set(found.map(\.digest))
        let items = pack.pieces.map { piece in
            var layer = attached[piece.layer]
            if let content = layer?.content,
                piece.chunk >= content.chunks.chunkCount
                    || content.chunks.chunk(piece.chunk).content.count != UInt64(piece.length)
                    || !here.contains(content.digest)
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
            end(id)
            prefetch(missing, isPredicted: order.isPredicted)
            return nil
        }
        apply { [coming, missing] state, now in
            state.packs.found(id, coming, missing, frames: pack.frames.count)
            state.planner.isForetold(coming.keys, isPredicted: order.isPredicted, now: now)
            return []
        }
        return items
    }

    /// A frame has been decoded.
    func decoded(_ frame: PackFrame, _ outcome: ExtentOutcome) {
        switch outcome {
        case .available: break
        case .corrupt(let reason), .unstorable(let reason): return abandon(frame.delivery, reason)
        }
        apply { state, now in
            let chunks = frame.items.compactMap { item in item.layer.map { ($0.id, item.chunk) } }
            return Self.free(state.packs.published(frame.delivery, chunks), &state, now)
        }
        let layers = Dictionary(grouping: frame.items.compactMap(\.layer), by: \.id).values.compactMap(\.first)
        for layer in layers where layer.becameComplete() { upkeep.append(layer) }
    }

    /// The pack brings nothing more: its readers go to the planner, and what it would have brought is a profile.
    private func abandon(_ id: DeliveryID, _ reason: String) {
        let (rest, isPredicted) = end(id)
        // At the end of the engine nothing is left of it, and nobody need know.
        if rest.isEmpty, Task.isCancelled { return }
        counters.packsAbandoned.add()
        logger.warning("a startup pack is given up", metadata: ["reason": "\(reason)", "left": "\(rest.count)"])
        prefetch(rest, isPredicted: isPredicted)
    }

    @discardableResult
    private func end(_ id: DeliveryID) -> (rest: [ChunkRun], isPredicted: Bool) {
        var left: (rest: [ChunkRun], isPredicted: Bool) = ([], false)
        apply { state, now in
            let ended = state.packs.end(id)
            left = (ended.rest, ended.isPredicted)
            return Self.free(ended.waiters, &state, now)
        }
        return left
    }

    /// What becomes of readers who wait for a pack no longer: those who lack something go to the planner.
    private static func free(
        _ waiters: [PackDeliveries.Waiter], _ state: inout State, _ now: MonotonicTime
    ) -> [PlannerAction] {
        waiters.flatMap { waiter -> [PlannerAction] in
            if let extents = waiter.layer.map.extents(missingIn: waiter.chunks) {
                return state.planner.demand(waiter.demand, layer: waiter.layer.id, extents: extents, now: now)
            }
            state.planner.wasServed(waiter.layer.id, since: waiter.since, now: now)
            return [.complete(waiter.demand, .available)]
        }
    }
}
