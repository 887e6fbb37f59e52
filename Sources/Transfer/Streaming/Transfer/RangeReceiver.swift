import Base
import ContentStore
import LayerIndex
import Logging
import Planner
import Registry

/// The receiver of ranges of layers' blobs. It performs requests, cuts the response bodies into extents (decodable
/// pieces), and hands the extents to decoding.
struct RangeReceiver: Sendable {
    let scheduler: Scheduler
    let opener: BlobOpener
    let queue: DecodeQueue
    let counters: StreamingCounters
    let logger: Logger

    /// Performs one request, and reports its end to the scheduler.
    func receive(_ order: RangeOrder) async {
        var failure: RequestFailure?
        do throws(RegistryError) {
            try await transfer(order)
        } catch {
            failure = RequestFailure(error)
            // A retry would fail in the same way, so the operator should know.
            if failure?.kind == .permanent, error.code != .cancelled, error.code != .shutDown {
                scheduler.report("request failed permanently", with: order.layer, reason: "\(error)")
            }
            logger.debug(
                "request failed",
                metadata: [
                    "layer": "\(order.layer.content.digest)", "range": "\(order.request.blob)", "error": "\(error)",
                ])
        }
        scheduler.requestEnded(order, failure: failure)
    }

    private func transfer(_ order: RangeOrder) async throws(RegistryError) {
        // Fetches the windows concurrently with the extents, to save a round trip.
        async let windows = fetchWindows(for: order)
        let stream = try await opener.open(order)
        let request = order.request
        guard stream.ranges == request.ranges else {
            throw RegistryError(.malformedAnswer, "requested \(request.ranges), received \(stream.ranges)")
        }
        try await windows.get()
        if stream.isOneByOne { scheduler.noteSingleRanges(order.layer) }
        var body = BodyCursor(
            stream, received: counters.received[request.fetchClass], skipped: counters.skipped)
        while let (extent, isAwaited) = await scheduler.nextExtent(of: order) {
            let range = order.layer.content.chunks.extent(extent).blob
            let pieces = try await body.take(range)
            let job = DecodeJob(
                work: .extent(order.layer, extent), pieces: pieces, byteCount: Int(range.count))
            if await queue.append(job, awaited: isAwaited) { counters.backPressure.add() }
        }
    }

    // MARK: - Windows

    /// Fetches the missing windows of the extents that `order` requests. To decode an extent, the decoder needs the
    /// extent's window: the decoded data directly before the extent. Concurrent requests for the same layer share the
    /// fetches.
    private func fetchWindows(for order: RangeOrder) async -> Result<Void, RegistryError> {
        var missing = order.layer.map.missingWindows(order.request.ranges)[...]
        var result: Result<Void, RegistryError> = .success(())
        // Limits the number of concurrent fetches, because the fetched bytes are in memory, and a chunk table can name
        // many windows.
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

    private func fetchWindows(_ blocks: Range<UInt64>, for order: RangeOrder) async -> Result<Void, RegistryError> {
        let content = order.layer.content
        guard let blob = content.chunks.windows, let file = content.windows else { return .success(()) }
        let range = ByteRange(
            offset: blocks.lowerBound * LayerMap.windowsBlock,
            end: min(blocks.upperBound * LayerMap.windowsBlock, blob.size))
        do throws(RegistryError) {
            let stream = try await opener.open([range], of: blob.digest, size: blob.size, for: order)
            var cursor = BodyCursor(
                stream, received: counters.received[order.request.fetchClass], skipped: counters.skipped)
            file.store(try await cursor.bytes(range), at: range.offset)
            return .success(())
        } catch {
            return .failure(error)
        }
    }
}

extension RequestFailure {
    /// Creates the planner's description of a registry error.
    fileprivate init(_ error: RegistryError) {
        switch error.code {
        case .rateLimited:
            self.init(.throttled(retryAfter: error.retryAfter?.wholeNanoseconds), reason: "\(error)")
        case .connection, .timedOut: self.init(.retryable, reason: "\(error)")
        case .serverError, .brokenBody, .malformedAnswer: self.init(.unusable, reason: "\(error)")
        default: self.init(.permanent, reason: "\(error)")
        }
    }
}
