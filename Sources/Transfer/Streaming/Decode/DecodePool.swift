import Base
import ContentStore
import Glibc
import Linux
import Logging
import NIOCore
import Planner
import SystemPackage

/// The threads that decode and verify chunks and publish them in the content store, and the thread that flushes
/// complete layers to disk.
final class DecodePool: Sendable {
    private let queue: DecodeQueue
    private let counters: StreamingCounters
    private let completions: LayerCompletions
    private let threads = Guarded<[NamedThread]>([])
    private let arrivalObserver = Guarded<(@Sendable () -> Void)?>(nil)

    /// Creates a pool and starts its threads.
    ///
    /// - Parameters:
    ///   - queue: the queue from which the threads take jobs.
    ///   - threadCount: the number of decoding threads; `nil` for one per CPU core.
    ///   - report: the callback for each job's outcome. It runs on the thread that decoded the job, and must not block.
    /// - Throws: `Errno` if the system cannot start another thread.
    init(
        _ queue: DecodeQueue, threadCount: Int?, counters: StreamingCounters, logger: Logger,
        report: @escaping @Sendable (DecodeJob, ExtentOutcome) -> Void
    ) throws(Errno) {
        self.queue = queue
        self.counters = counters
        completions = LayerCompletions(logger: logger)
        do throws(Errno) {
            for index in 0..<max(1, threadCount ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) {
                try start("rv-decode-\(index)") { [self] in decode(report) }
            }
            try start("rv-complete") { [completions] in completions.run() }
        } catch {
            _ = close()
            throw error
        }
    }

    private func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) {
        let thread = try NamedThread(name: name, body)
        threads.withLock { $0.append(thread) }
    }

    /// The number of compressed bytes that wait for decoding.
    var queuedBytes: Int { queue.byteCount }

    /// Sets the observer of complete layers. The flushing thread calls the observer after each successful flush of a
    /// complete layer to disk. The observer may block.
    func onLayerCompleted(_ observer: @escaping @Sendable (StoredLayer) -> Void) {
        completions.observe(observer)
    }

    /// Sets the observer of new chunks. The observer runs after each job on the thread that decoded the job, and after
    /// each ``publish(_:at:of:)`` on the calling thread. It must not block.
    func onArrival(_ observer: @escaping @Sendable () -> Void) {
        arrivalObserver.withLock { $0 = observer }
    }

    /// Decodes the missing extents that lie completely in `bytes`, and publishes their chunks before it returns.
    ///
    /// The function stops at the first extent that fails. Later reads fetch the chunks that are still missing.
    ///
    /// - Parameters:
    ///   - bytes: a part of a layer's blob.
    ///   - range: the position of `bytes` in the blob.
    ///   - layer: the attached layer of the blob.
    func publish(_ bytes: [UInt8], at range: ByteRange, of layer: AttachedLayer) {
        guard UInt64(bytes.count) == range.count else { return }
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
        arrived([layer])
    }

    /// Drops all queued jobs and tells the threads to end. Returns the threads, which the caller joins.
    func close() -> [NamedThread] {
        queue.close()
        completions.close()
        return threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
    }

    /// Decodes jobs until the queue is closed. This is the body of a decoding thread.
    private func decode(_ report: (DecodeJob, ExtentOutcome) -> Void) {
        var worker = DecodeWorker(counters)
        while let job = queue.take() {
            let outcome = worker.run(job)
            worker.trim()
            report(job, outcome)
            arrived(job.layers)
        }
    }

    private func arrived(_ layers: [AttachedLayer]) {
        arrivalObserver.withLock { $0 }?()
        completions.check(layers)
    }
}
