import Base
import Concurrency
import ContentStore
import LayerIndex
import Logging
import NIOCore
import Planner
import Registry

/// The receiver of whole blobs, for layers whose chunks requests for ranges cannot bring.
///
/// It reads the layer's own blob from the first byte. It tries the layer's locations one after the other, until all
/// missing chunks are in the store.
struct RecoveryReceiver: Sendable {
    /// The minimum number of compressed bytes that are decoded at once, except at the end of the blob.
    private static let partBytes = 128 << 10
    /// The maximum number of recoveries at the same time. Each may hold two chunks of the largest size in memory.
    private static let maximumAtOnce = 8
    /// The maximum time of one recovery in nanoseconds. A registry that sends its bytes drop by drop must not keep
    /// other layers waiting forever.
    private static let longest: UInt64 = 3_600_000_000_000

    let scheduler: Scheduler
    let opener: BlobOpener
    let queue: DecodeQueue
    let counters: StreamingCounters
    let logger: Logger
    private let permits = AsyncSemaphore(maximumAtOnce)

    /// Performs one recovery, and reports its end to the scheduler.
    func receive(_ order: RecoveryOrder) async {
        guard let permit = try? await permits.acquire() else {
            return scheduler.recoveryEnded(order.layer, failure: order.reason)
        }
        defer { permit.release() }
        let content = order.layer.content
        let (begun, present) = (MonotonicTime.now(), content.presentBytes)
        logger.warning(
            "recovering a layer from the first byte of its blob",
            metadata: ["layer": "\(content.digest)", "reason": "\(order.reason)"])
        let failure = await recover(order.layer, until: begun.advanced(by: Self.longest))
        var metadata: Logger.Metadata = [
            "layer": "\(content.digest)", "bytes": "\(content.presentBytes &- min(present, content.presentBytes))",
            "milliseconds": "\(MonotonicTime.now().since(begun) / 1_000_000)",
        ]
        if let failure {
            counters.recoveriesFailed.add()
            metadata["reason"] = "\(failure)"
            logger.error("failed to recover a layer", metadata: metadata)
        } else {
            logger.notice("layer recovered", metadata: metadata)
        }
        // Readers learn of both failures.
        scheduler.recoveryEnded(
            order.layer, failure: failure.map { "\(order.reason); then reading the whole blob: \($0)" })
    }

    /// Returns the reason why chunks are still missing; `nil` after a success.
    private func recover(_ layer: AttachedLayer, until end: MonotonicTime) async -> String? {
        let content = layer.content
        let size = content.chunks.blobDigest == content.digest ? content.chunks.blobSize : nil
        var tried: Set<BlobLocation> = []
        var last: String?
        while true {
            let stream: BlobStream
            do throws(RegistryError) {
                stream = try await opener.open(
                    .whole, of: content.digest, size: size, layer: layer, priority: .demand, except: &tried)
            } catch {
                return last ?? "\(error)"
            }
            let recovery = LayerRecovery(layer, counters: counters)
            do throws(RegistryError) {
                try await read(stream, into: recovery, until: end)
            } catch {
                guard error.code != .cancelled, error.code != .shutDown else { return "\(error)" }
                last = "\(error)"
                continue
            }
            if content.isComplete || recovery.hasAll { return nil }
            last = recovery.failure.map { "\($0)" } ?? "the blob lacks chunks of the layer's index"
        }
    }

    /// Decodes the blob to its end, or until no chunk is missing.
    private func read(
        _ stream: BlobStream, into recovery: LayerRecovery, until end: MonotonicTime
    ) async throws(RegistryError) {
        var iterator = stream.makeAsyncIterator()
        var previous: OneShot<Void>?
        var isLast = false
        while !isLast {
            var pieces: [ByteBuffer] = []
            var count = 0
            while count < Self.partBytes, !isLast {
                guard MonotonicTime.now() < end else {
                    throw RegistryError(.timedOut, "blob \(recovery.layer.content.digest) comes too slowly")
                }
                if let next = try await iterator.next() {
                    counters.recoveryBytes.add(UInt64(next.readableBytes))
                    count += next.readableBytes
                    pieces.append(next)
                } else {
                    isLast = true
                }
            }
            // The parts must be decoded one after the other. Meanwhile, the next part arrives.
            try await wait(for: previous)
            guard recovery.failure == nil, !recovery.layer.content.isComplete else { return }
            guard scheduler.layer(recovery.layer.content.key) === recovery.layer else {
                throw RegistryError(.cancelled, "the layer is no longer in use")
            }
            let part = LayerRecovery.Part(recovery: recovery, isLast: isLast, done: OneShot())
            previous = part.done
            if await queue.append(DecodeJob(work: .part(part), pieces: pieces, byteCount: count), awaited: true) {
                counters.backPressure.add()
            }
        }
        try await wait(for: previous)
    }

    private func wait(for signal: OneShot<Void>?) async throws(RegistryError) {
        do throws(CancellationError) {
            try await signal?.wait()
        } catch {
            throw RegistryError(.cancelled, "the recovery was cancelled")
        }
    }
}
