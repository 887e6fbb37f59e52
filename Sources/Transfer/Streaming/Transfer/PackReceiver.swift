import Base
import Planner
import Registry

/// The receiver of startup packs. It reads a pack's tables, and then hands the pack's frames to decoding one by one.
///
/// Readers of a pack's chunks wait for the pack while its bytes keep arriving. After a failure, the engine fetches the
/// remaining chunks from their layers' blobs.
struct PackReceiver: Sendable {
    /// The interval between checks for readers that have waited too long for a pack.
    private static let interval = Duration.milliseconds(250)

    let scheduler: Scheduler
    let queue: DecodeQueue
    let counters: StreamingCounters

    /// Receives one pack, from its tables to its last frame.
    func receive(_ order: PackOrder) async {
        let watch = Task { [scheduler] in
            while (try? await Task.sleep(for: Self.interval)) != nil { scheduler.releaseOverdue(order.id) }
        }
        defer { watch.cancel() }
        do {
            try await transfer(order)
        } catch {
            scheduler.abandon(order.id, "\(error)")
        }
    }

    private func transfer(_ order: PackOrder) async throws {
        let size = order.request.size
        var body = BodyCursor(try await order.request.body, received: counters.packBytes, skipped: counters.skipped)
        let head = try await body.bytes(ByteRange(offset: 0, end: UInt64(StartupPack.headSize)))
        let tableEnd = UInt64(try StartupPack.tableEnd(head))
        let tables = try await body.bytes(ByteRange(offset: UInt64(StartupPack.headSize), end: tableEnd))
        let pack = try StartupPack(tables: head + tables, size: size)
        guard let items = scheduler.open(pack, order) else { return }
        counters.packs.add()
        for frame in pack.frames {
            let pieces = try await body.take(frame.range)
            guard scheduler.moved(order.id, to: frame.range.end), !Task.isCancelled else { return }
            let job = DecodeJob(
                work: .frame(PackFrame(delivery: order.id, items: Array(items[frame.pieces]))), pieces: pieces,
                byteCount: Int(frame.range.count))
            if await queue.append(job, awaited: true) { counters.backPressure.add() }
        }
    }
}
