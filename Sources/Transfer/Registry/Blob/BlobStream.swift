public import Base
import Concurrency
public import NIOCore

/// The requested bytes of a blob, as an asynchronous sequence of buffers in the order of ``ranges``.
///
/// The stream applies backpressure: it reads from the network only when the caller asks for more. If the body of a
/// response breaks, the stream resumes at the next byte, on another host if necessary. Iteration throws when no further
/// retry is allowed (``RetryPolicy``). The connection closes when the caller drops the iterator, or drops the stream
/// before iterating. The stream does not check the bytes against the blob's digest.
public struct BlobStream: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer
    public typealias Failure = RegistryError

    /// The ranges of the blob that the stream returns, in the order in which the caller requested them. If the caller
    /// did not request several ranges, the array has one element. That range does not extend beyond the end of the
    /// blob.
    public let ranges: [ByteRange]
    /// The size of the whole blob in bytes.
    public let blobSize: UInt64

    let requester: HostRequester
    let location: BlobLocation
    let priority: RequestPriority
    let permit: AsyncSemaphore.Permit?
    /// The response whose head has already arrived. The first iterator takes it and leaves `nil`.
    let first: Guarded<OpenedBody?>
    /// True if the caller requested several ranges, but the host that sent the first response supports only one range
    /// per request.
    public let isOneByOne: Bool

    /// The span from the beginning of the first of ``ranges`` to the end of the last one, including the bytes between
    /// the ranges. The span contains all ranges only if their offsets ascend.
    public var range: ByteRange {
        ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0)
    }

    /// Returns an iterator. The first iterator reads the response that is already open. Each further iterator sends a
    /// new request.
    public func makeAsyncIterator() -> Iterator {
        let opened = first.withLock { first -> OpenedBody? in
            defer { first = nil }
            return first
        }
        return Iterator(stream: self, opened: opened)
    }

    /// Reads all bytes into memory.
    ///
    /// - Throws: ``RegistryError`` with code `tooLarge` if ``range`` is longer than `maximumSize` bytes.
    public func collect(maximumSize: Int) async throws(RegistryError) -> [UInt8] {
        guard range.count <= UInt64(Swift.max(0, maximumSize)) else {
            throw RegistryError(.tooLarge, "\(range) of \(location) is longer than \(maximumSize) bytes")
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(range.count))
        var iterator = makeAsyncIterator()
        while let buffer = try await iterator.next() {
            bytes.append(contentsOf: buffer.readableBytesView)
        }
        return bytes
    }

    /// An iterator over the bytes of ``BlobStream/ranges``, in the order of the ranges. It yields each byte exactly
    /// once. A buffer never contains bytes of two ranges.
    public struct Iterator: AsyncIteratorProtocol {
        private let stream: BlobStream
        private var opened: OpenedBody?
        /// The part of the last received buffer that the iterator has not yielded yet.
        private var rest = ByteBuffer()
        /// The ranges that the iterator has not fully yielded yet. The first one starts at the next byte to yield.
        private var wanted: ArraySlice<ByteRange>
        private var schedule: RetrySchedule
        private var resumes = 0

        init(stream: BlobStream, opened: OpenedBody?) {
            self.stream = stream
            self.opened = opened
            wanted = stream.ranges.drop { $0.isEmpty }
            schedule = stream.requester.makeSchedule(stream.priority)
        }

        public mutating func next() async throws(RegistryError) -> ByteBuffer? {
            while let range = wanted.first {
                do throws(RegistryError) {
                    guard let buffer = try await read(range) else { continue }
                    let position = range.offset + UInt64(buffer.readableBytes)
                    wanted[wanted.startIndex] = ByteRange(offset: position, end: range.end)
                    if position >= range.end { wanted.removeFirst() }
                    schedule.madeProgress(now: stream.requester.clock.now)
                    if wanted.isEmpty { finish() }
                    return buffer
                } catch {
                    opened = nil
                    rest = ByteBuffer()
                    try await recover(from: error)
                }
            }
            finish()
            return nil
        }

        /// Returns the next bytes of `range`. Returns `nil` if the body has ended, or if this call only skipped
        /// unwanted bytes. After `nil`, the caller calls the method again.
        private mutating func read(_ range: ByteRange) async throws(RegistryError) -> ByteBuffer? {
            let body = try await currentBody()
            if rest.readableBytes == 0 {
                guard let buffer = try await body.reader.next() else {
                    guard !body.reader.mayJump, body.reader.position >= body.range.end else {
                        throw RegistryError(
                            .brokenBody,
                            "the body of \(stream.location) ended at \(body.reader.position) of \(body.range.end)")
                    }
                    // The body is complete, but covers only some of the ranges. The next call requests the other ones.
                    opened = nil
                    return nil
                }
                rest = buffer
            }
            let start = body.reader.position - UInt64(rest.readableBytes)
            if start < range.offset {
                rest.moveReaderIndex(forwardBy: Int(Swift.min(range.offset - start, UInt64(rest.readableBytes))))
                return nil
            }
            guard start == range.offset else {
                // RFC 9110 §15.3.7.2 allows a server to reorder the parts. No known server does.
                stream.requester.memory.withLock { $0.learn(refusesMultipleRanges: body.host) }
                throw RegistryError(
                    .brokenBody, "the body of \(stream.location) continues at \(start) instead of \(range.offset)")
            }
            return rest.readSlice(length: Int(Swift.min(range.count, UInt64(rest.readableBytes))))
        }

        /// Returns the current body, or opens a new one if the last one broke or ended.
        private mutating func currentBody() async throws(RegistryError) -> OpenedBody {
            if let opened { return opened }
            let first = wanted.first ?? ByteRange(offset: 0, end: 0)
            let selection: BlobSelection = wanted.count == 1 ? .range(first) : .ranges(Array(wanted))
            let next = try await BlobAttempt.open(
                stream.location, selection, priority: stream.priority, knownSize: stream.blobSize,
                by: stream.requester)
            opened = next
            return next
        }

        /// Waits before the next attempt, or throws `error` if the stream makes no further attempt.
        private mutating func recover(from error: RegistryError) async throws(RegistryError) {
            // Opening a body has its own retries, so an error of another kind is final.
            guard error.code == .brokenBody || error.code == .timedOut, resumes < stream.requester.maximumResumes else {
                finish()
                throw error
            }
            resumes += 1
            switch schedule.bodyBroke(now: stream.requester.clock.now, random: stream.requester.configuration.random())
            {
            case .retry(let delay):
                stream.requester.counters.resumes.add()
                try await stream.requester.pause(delay)
            case .giveUp:
                finish()
                throw error
            }
        }

        private mutating func finish() {
            opened = nil
            rest = ByteBuffer()
            stream.permit?.release()
        }
    }
}
