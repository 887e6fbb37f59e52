public import Base
public import ContentStore
import LayerIndex
import Logging
import NIOCore
import Planner
import Registry

/// Carrying out what the planner decided.
extension StreamingEngine {
    /// Something to do after the lock has been released.
    private enum Work {
        case order(Order)
        case resume(RequestGate)
        case expedite(LayerID, Int)
        case complete(@Sendable (ChunkOutcome) -> Void, ChunkOutcome)
    }

    /// Applies an event to the planner, then does what it says: the only way to it.
    func apply(_ event: (inout State, MonotonicTime) -> [PlannerAction]) {
        let now = MonotonicTime.now()
        let (work, wake) = state.withLock { state -> ([Work], MonotonicTime?) in
            let actions = event(&state, now)
            return (actions.compactMap { Self.prepare($0, &state) }, state.planner.wakeTime)
        }
        if let wake { alarm.set(wake) }
        for piece in work {
            switch piece {
            case .order(let order): orders.yield(.request(order))
            case .resume(let gate): gate.open()
            case .expedite(let layer, let extent): queue.expedite(layer, extent)
            case .complete(let completion, let outcome): completion(outcome)
            }
        }
    }

    private static func prepare(_ action: PlannerAction, _ state: inout State) -> Work? {
        switch action {
        case .start(let request):
            guard let layer = state.layers[request.layer] else { return nil }
            let gate = RequestGate()
            state.gates[request.id] = gate
            return .order(Order(request: request, layer: layer, gate: gate))
        case .resume(let id):
            return state.gates[id].map { .resume($0) }
        case .expedite(let layer, let extent):
            return .expedite(layer, extent)
        case .complete(let ticket, let outcome):
            guard let completion = state.completions.removeValue(forKey: ticket) else { return nil }
            return .complete(completion, outcome)
        }
    }

    // MARK: - Requests

    /// Makes one request and hands its extents to decoding as they arrive.
    func carryOut(_ order: Order) async {
        var failure: RequestFailure?
        do throws(RegistryError) {
            try await transfer(order)
        } catch {
            failure = Self.failure(error)
            // Another try gives the same answer: somebody should know.
            if failure?.kind == .permanent, error.code != .cancelled, error.code != .shutDown {
                report(order.layer, "a request cannot be answered", "\(error)")
            }
            logger.debug(
                "request failed",
                metadata: [
                    "layer": "\(order.layer.content.digest)", "range": "\(order.request.blob)", "error": "\(error)",
                ])
        }
        apply { [failure] state, now in
            state.gates[order.request.id] = nil
            return state.planner.requestEnded(order.request.id, failure: failure, now: now)
        }
    }

    private func transfer(_ order: Order) async throws(RegistryError) {
        // Side by side: what decoding needs beside the bytes costs no time of its own.
        async let windows = fetchWindows(for: order)
        let stream = try await open(order)
        let request = order.request
        guard stream.ranges == request.ranges else {
            throw RegistryError(.malformedAnswer, "\(request.ranges) was asked for and \(stream.ranges) came")
        }
        try await windows.get()
        if stream.isOneByOne { state.withLock { $0.planner.givesSingleRanges(request.layer) } }
        var body = BodyCursor(
            stream, received: counters.received[request.fetchClass], skipped: counters.skipped)
        while let (extent, isAwaited) = await next(order) {
            let range = order.layer.content.chunks.extent(extent).blob
            let pieces = try await body.take(range)
            let job = DecodeJob(
                work: .extent(order.layer, extent), pieces: pieces, byteCount: Int(range.count))
            if await queue.append(job, awaited: isAwaited) { counters.backPressure.add() }
        }
    }

    /// The next extent to read; waits while the planner wants the request to stand back.
    private func next(_ order: Order) async -> (extent: Int, isAwaited: Bool)? {
        while !Task.isCancelled {
            let now = MonotonicTime.now()
            let (advance, wake) = state.withLock { state in
                (state.planner.advance(order.request.id, now: now), state.planner.wakeTime)
            }
            switch advance {
            case .take(let extent, let isAwaited): return (extent, isAwaited)
            case .end: return nil
            case .pause:
                if let wake { alarm.set(wake) }
                await order.gate.wait()
            }
        }
        return nil
    }

    /// Opens the request's range at the first place that gives it. The registry client tries mirrors and repeats by itself;
    /// here the next repository is asked when one does not have the blob or does not let us in.
    private func open(_ order: Order) async throws(RegistryError) -> BlobStream {
        let open: @Sendable () async -> Result<BlobStream, RegistryError> = { [self] in
            let content = order.layer.content
            do throws(RegistryError) {
                return .success(
                    try await self.open(
                        order.request.ranges, of: content.chunks.blobDigest, size: content.chunks.blobSize, for: order))
            } catch {
                return .failure(error)
            }
        }
        // A reader waits for it; nobody else minds.
        return order.request.fetchClass == .demand ? try await hedged(open) : try await open().get()
    }

    /// Opens ranges of a blob that lies where the order's layer does.
    private func open(
        _ ranges: [ByteRange], of blob: Digest, size: UInt64, for order: Order
    ) async throws(RegistryError) -> BlobStream {
        let priority: RequestPriority = order.request.fetchClass == .demand ? .demand : .background
        let hull = ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0)
        let selection: BlobSelection = ranges.count > 1 ? .ranges(ranges) : .range(hull)
        var last = RegistryError(.notFound, "nobody has said where the layer can be had")
        for location in order.layer.locations {
            do throws(RegistryError) {
                let stream = try await registry.open(
                    BlobLocation(repository: location.repository, digest: blob), selection, priority: priority,
                    knownSize: size)
                order.layer.prefer(location)
                return stream
            } catch {
                switch error.code {
                case .cancelled, .shutDown: throw error
                default: last = error
                }
            }
        }
        throw last
    }

    /// Brings the windows that the order's extents need and that are not here; each block once, whoever needs it.
    private func fetchWindows(for order: Order) async -> Result<Void, RegistryError> {
        var missing = order.layer.map.missingWindows(order.request.ranges)[...]
        var result: Result<Void, RegistryError> = .success(())
        // Side by side, but not as many as a table can name: their bytes are held in memory.
        while !missing.isEmpty {
            let tasks = missing.prefix(8).flatMap { blocks in
                order.layer.fetching(blocks) { await self.fetchWindows($0, for: order) }
            }
            missing = missing.dropFirst(8)
            for task in tasks {
                if case .failure(let error) = await task.value { result = .failure(error) }
            }
        }
        return result
    }

    private func fetchWindows(_ blocks: Range<UInt64>, for order: Order) async -> Result<Void, RegistryError> {
        let content = order.layer.content
        guard let blob = content.chunks.windows, let file = content.windows else { return .success(()) }
        let range = ByteRange(
            offset: blocks.lowerBound * LayerMap.windowsBlock,
            end: min(blocks.upperBound * LayerMap.windowsBlock, blob.size))
        do throws(RegistryError) {
            let stream = try await open([range], of: blob.digest, size: blob.size, for: order)
            var cursor = BodyCursor(
                stream, received: counters.received[order.request.fetchClass], skipped: counters.skipped)
            let bytes = try await cursor.bytes(range)
            do throws(ContentStoreError) {
                try file.store(bytes, at: range.offset)
            } catch {
                // The extents then say that their windows are not here.
                report(order.layer, "the content store does not take bytes", "\(error)")
            }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    /// What a failure means to those who wait.
    static func failure(_ error: RegistryError) -> RequestFailure {
        switch error.code {
        case .rateLimited:
            RequestFailure(.throttled(retryAfter: error.retryAfter?.wholeNanoseconds), reason: "\(error)")
        case .serverError, .connection, .timedOut, .brokenBody, .malformedAnswer:
            RequestFailure(.retryable, reason: "\(error)")
        default: RequestFailure(.permanent, reason: "\(error)")
        }
    }

    // MARK: - Decoding

    /// The body of a decoding thread.
    static func decode(
        _ queue: DecodeQueue, _ counters: StreamingCounters, _ engine: () -> StreamingEngine?
    ) {
        var worker = DecodeWorker(counters)
        while let job = queue.take() {
            let outcome = worker.run(job)
            worker.trim()
            switch job.work {
            case .extent(let layer, let extent): engine()?.decoded(extent, of: layer, outcome)
            case .frame(let frame): engine()?.decoded(frame, outcome)
            }
        }
    }

    /// Takes what a part of a layer's blob holds that came in another way: the table of contents of a layer is asked for with what
    /// lies before it, and of a small layer that is all. Blocks while it is decoded. What is wrong with it shows when it is read.
    public func take(_ bytes: [UInt8], at range: ByteRange, of layer: StoredLayer) {
        guard UInt64(bytes.count) == range.count, let layer = state.withLock({ $0.byDigest[layer.digest] }) else {
            return
        }
        let map = layer.map
        var worker = DecodeWorker(counters)
        for extent in map.extents(before: range.offset).upperBound..<map.extents(before: range.end).upperBound {
            let blob = map.blobRange(of: extent)
            guard blob.offset >= range.offset, blob.end <= range.end, !map.isPresent(extent) else { continue }
            let start = Int(blob.offset - range.offset)
            let piece = ByteBuffer(bytes: bytes[start..<start + Int(blob.count)])
            let job = DecodeJob(work: .extent(layer, extent), pieces: [piece], byteCount: piece.readableBytes)
            guard case .available = worker.run(job) else { break }
        }
        chunksArrived.withLock { $0 }?()
        if layer.becameComplete() { upkeep.append(layer) }
    }

    private func decoded(_ extent: Int, of layer: AttachedLayer, _ outcome: ExtentOutcome) {
        switch outcome {
        case .available: break
        case .corrupt(let reason):
            // The same place would give the same bytes; if there is another, it is asked first.
            layer.distrust()
            report(layer, "wrong bytes from the registry", reason)
        case .unstorable(let reason):
            report(layer, "the content store does not take bytes", reason)
        }
        apply { $0.planner.extentDone(layer.id, extent: extent, outcome: outcome, now: $1) }
        chunksArrived.withLock { $0 }?()
        if layer.becameComplete() { upkeep.append(layer) }
    }

    private func report(_ layer: AttachedLayer, _ what: Logger.Message, _ reason: String) {
        guard let silent = layer.shouldReport(now: .now()) else { return }
        logger.error(
            what, metadata: ["layer": "\(layer.content.digest)", "reason": "\(reason)", "unreported": "\(silent)"])
    }

    /// A layer has become complete: what is here now survives a crash of the machine.
    func finishLayer(_ layer: AttachedLayer) {
        do throws(ContentStoreError) {
            try layer.content.makeDurable()
            logger.info("layer is complete", metadata: ["layer": "\(layer.content.digest)"])
        } catch {
            logger.error(
                "a complete layer could not be made durable",
                metadata: ["layer": "\(layer.content.digest)", "reason": "\(error)"])
        }
        layerCompleted.withLock { $0 }?(layer.content)
    }
}
