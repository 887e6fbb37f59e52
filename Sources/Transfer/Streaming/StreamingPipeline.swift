import Base
import Concurrency
import Linux
import Logging
import Registry
import SystemPackage

/// The parts of the streaming engine: the scheduler, the transfer runner and the decode pool.
final class StreamingPipeline: Sendable {
    let scheduler: Scheduler
    let decoding: DecodePool
    let search = LocationSearch()
    private let transfers: TransferRunner

    /// Creates the parts and starts their threads.
    ///
    /// - Throws: ``StreamingError`` with code `noThread` if the system cannot start another thread.
    init(
        registry: RegistryClient, configuration: StreamingConfiguration, logger: Logger
    ) throws(StreamingError) {
        let counters = StreamingCounters()
        let queue = DecodeQueue(limit: configuration.decodeQueueBytes)
        let (orders, continuation) = AsyncStream.makeStream(of: TransferOrder.self)
        var started: Scheduler?
        do throws(Errno) {
            let scheduler = try Scheduler(
                configuration.planner, orders: continuation, queue: queue, counters: counters, logger: logger)
            started = scheduler
            let decoding = try DecodePool(
                queue, threadCount: configuration.decodeThreads, counters: counters, logger: logger
            ) { scheduler.decoded($0, $1) }
            self.scheduler = scheduler
            self.decoding = decoding
        } catch {
            _ = started?.stop(reason: "the engine did not start")
            throw StreamingError(.noThread, "failed to start a thread", cause: error)
        }
        let opener = BlobOpener(registry: registry, search: search, counters: counters)
        transfers = TransferRunner(
            orders,
            ranges: RangeReceiver(
                scheduler: scheduler, opener: opener, queue: queue, counters: counters, logger: logger),
            packs: PackReceiver(scheduler: scheduler, queue: queue, counters: counters),
            recoveries: RecoveryReceiver(
                scheduler: scheduler, opener: opener, queue: queue, counters: counters, logger: logger))
    }

    /// Stops all parts. Returns when all transfers and threads have ended, or after `limit`.
    func shutdown(limit: Duration) async {
        let threads = scheduler.stop(reason: "the streaming engine shuts down") + decoding.close()
        // Waits in a separate task, so that canceling the caller does not end the wait early. After the wait, the
        // caller may remove files, and no thread must still write them.
        await Task { [transfers] in
            _ = try? await withTimeout(limit) {
                await transfers.shutdown()
                await NamedThread.join(threads)
            }
        }.value
    }
}

extension NamedThread {
    /// Waits for the end of `threads` without blocking the caller's thread.
    fileprivate static func join(_ threads: [NamedThread]) async {
        let done = OneShot<Void>()
        // Joining a thread blocks, so a separate thread does it.
        let joiner = try? NamedThread(name: "rv-join") {
            for thread in threads { thread.join() }
            done.fulfill()
        }
        if joiner != nil { await done.value }
    }
}
