import Base
import CFUSE
import ContentStore
import LazyFileSystem
import Linux
import SystemPackage

/// The answers to reads, including reads that wait.
extension Session {
    /// The maximum number of times that one read waits for chunks. A read must wait again if a chunk that it needs
    /// arrives, but is evicted before the retry.
    private static let attempts = 4

    func read(_ token: consuming RequestToken, of node: fuse_ino_t, size: Int, offset: off_t) {
        statistics.reads.add()
        guard offset >= 0, size >= 0 else { return token.fail(.invalidArgument) }
        let buffer = buffers.take()
        let node = NodeID(rawValue: node)
        let offset = UInt64(offset)
        let target = buffer.prefix(size)
        switch fileSystem.read(node, at: offset, into: target) {
        case .bytes(let count):
            statistics.readBytes.add(UInt64(count))
            token.reply(UnsafeRawBufferPointer(rebasing: target[..<count]))
        case .failed(let error):
            fail(token, error)
        case .missing(let miss):
            let count = target.count
            // Return the buffer to the pool while the read waits.
            _ = consume buffer
            park(token, node: node, offset: offset, count: count, miss: miss)
        }
    }

    private func park(_ token: consuming RequestToken, node: NodeID, offset: UInt64, count: Int, miss: Miss) {
        statistics.parked.add()
        guard let id = parked.withLock({ $0.open() }) else { return token.fail(.ioError) }
        token.onInterrupt(id) { request, data in
            guard let request else { return }
            Session.of(request)?.interrupted(UInt64(UInt(bitPattern: data)))
        }
        wait(
            id, ParkedRead(token, node: node, offset: offset, count: count, miss: miss, attempt: 1))
    }

    /// Lets the read with the ID `id` wait, and requests its missing chunks from the file system.
    private func wait(_ id: UInt64, _ read: ParkedRead) {
        guard parked.withLock({ $0.wait(id, for: read, attempt: read.attempt) }) == .waiting else {
            return answer(id, of: read) { $0.fail(.ioError) }
        }
        // From here on any thread may answer the read at any moment.
        let attempt = read.attempt
        let demand = fileSystem.demand(read.miss) { outcome in
            self.completed(id, attempt: attempt, with: outcome)
        }
        if !parked.withLock({ $0.demanded(id, as: demand, attempt: attempt) }) { fileSystem.cancel(demand) }
    }

    /// Ends the wait of the read with the ID `id` in attempt `attempt`, because the demand for its chunks has ended
    /// with `outcome`. If the chunks arrived, retries the read on this thread. Otherwise answers the read with an
    /// error.
    private func completed(_ id: UInt64, attempt: Int, with outcome: ChunkOutcome) {
        guard let read = parked.withLock({ $0.complete(id, attempt: attempt) }) else { return }
        switch outcome {
        case .available:
            retry(id, read)
        case .cancelled:
            refuse(id, of: read, with: LazyFileSystemError(.unavailable, "the transfer of its chunks was cancelled"))
        case .failed(let reason):
            refuse(id, of: read, with: LazyFileSystemError(.unavailable, reason))
        }
    }

    private func retry(_ id: UInt64, _ read: ParkedRead) {
        let buffer = buffers.take()
        let target = buffer.prefix(read.count)
        switch fileSystem.read(read.node, at: read.offset, into: target, after: read.miss) {
        case .bytes(let count):
            statistics.readBytes.add(UInt64(count))
            answer(id, of: read) { $0.reply(UnsafeRawBufferPointer(rebasing: target[..<count])) }
        case .failed(let error):
            refuse(id, of: read, with: error)
        case .missing(let miss):
            _ = consume buffer
            guard read.attempt < Self.attempts, let token = read.takeToken() else {
                return refuse(
                    id, of: read,
                    with: LazyFileSystemError(.unavailable, "\(miss) arrived and were evicted again, repeatedly"))
            }
            wait(
                id,
                ParkedRead(
                    token, node: read.node, offset: read.offset, count: read.count, miss: miss,
                    attempt: read.attempt + 1))
        }
    }

    /// Records that a signal is pending for the reader of the parked read with the ID `id`. If no thread watches
    /// interrupted reads yet, starts one. libfuse may call this function after the read was answered; the call then
    /// does nothing.
    private func interrupted(_ id: UInt64) {
        guard parked.withLock({ $0.interrupt(id) }) else { return }
        do {
            // The thread runs as long as any interrupted read waits. The kernel reports only the first signal, and a
            // fatal one may come later.
            _ = try NamedThread(name: "fuse-signals") { self.watchInterrupted() }
        } catch {
            // Without the watch, these reads end when their demands do, which take a bounded time.
            parked.withLock { $0.abandonWatch() }
            log.report("failed to start a thread to watch interrupted reads: \(error)")
        }
    }

    /// The interval in nanoseconds between two checks of the interrupted reads. A killed reader waits at most this long
    /// for the answer.
    private static let watchInterval: UInt64 = 50_000_000

    /// Runs the watch of interrupted reads: answers EINTR to those whose readers are dying. Returns when no open read
    /// is interrupted.
    private func watchInterrupted() {
        let pause = Guarded(())
        while let reads = parked.withLock({ $0.interrupted() }) {
            for (id, read) in reads where Self.dies(read.reader) {
                guard let (read, demand) = parked.withLock({ $0.take(id) }) else { continue }
                statistics.interrupted.add()
                answer(id, of: read) { $0.fail(.interrupted) }
                if let demand { fileSystem.cancel(demand) }
            }
            _ = pause.waitUntil(timeout: Self.watchInterval) { _ -> Bool? in nil }
        }
    }

    /// Returns true if a fatal signal is pending for the thread `reader`, or if the thread has ended. Returns false for
    /// 0, a reader outside our PID namespace.
    private static func dies(_ reader: Int32) -> Bool {
        guard reader > 0 else { return false }
        return ThreadSignals(thread: reader)?.areFatal ?? true
    }

    private func refuse(_ id: UInt64, of read: ParkedRead, with error: LazyFileSystemError) {
        answer(id, of: read) { token in fail(token, error) }
    }

    /// Answers a read with `reply` after its wait has ended, and closes the read. Only one thread may do this for a
    /// read.
    private func answer(_ id: UInt64, of read: ParkedRead, _ reply: (consuming RequestToken) -> Void) {
        if let token = read.takeToken() { reply(token) }
        parked.withLockBroadcasting { $0.close(id) }
    }

    /// Answers every waiting read with EIO, and lets no further read wait. Then waits up to `timeout` nanoseconds for
    /// the reads that other threads are answering.
    ///
    /// - Returns: true if no open read is left.
    func stopParking(timeout: UInt64) -> Bool {
        for (id, read, demand) in parked.withLock({ $0.stop() }) {
            answer(id, of: read) { $0.fail(.ioError) }
            if let demand { fileSystem.cancel(demand) }
        }
        return parked.waitUntil(timeout: timeout) { $0.count == 0 ? true : nil } ?? false
    }
}
