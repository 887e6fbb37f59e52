public import Base
import Concurrency
public import NIOCore

/// Bytes of a blob as they arrive.
///
/// Backpressured: nothing is read from the network that nobody asks for. A body that breaks is taken up again from its
/// next byte, on another host if need be, within the client's retry budget; only then does iterating throw. Stopping
/// early (dropping the iterator, or the stream without iterating) closes the connection. The bytes are not verified.
public struct BlobStream: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer
    public typealias Failure = RegistryError

    /// What the body is, in this order: what was asked for, cut at the end of the blob. One range unless several were asked
    /// for.
    public let ranges: [ByteRange]
    /// The size of the whole blob.
    public let blobSize: UInt64

    let requester: HostRequester
    let location: BlobLocation
    let priority: RequestPriority
    let permit: AsyncSemaphore.Permit?
    /// The answer whose head is already here; taken by the first iterator.
    let first: Guarded<OpenedBody?>
    /// Whether several ranges were asked for and the registry gives one a request.
    public let isOneByOne: Bool

    /// From the first byte of ``ranges`` to the last.
    public var range: ByteRange {
        ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0)
    }

    /// A second iterator asks the registry again.
    public func makeAsyncIterator() -> Iterator {
        let opened = first.withLock { first -> OpenedBody? in
            defer { first = nil }
            return first
        }
        return Iterator(stream: self, opened: opened)
    }

    /// All of it in memory.
    ///
    /// - Throws: ``RegistryError`` with code `tooLarge` when ``range`` is longer than `maximumSize`.
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

    /// Gives the bytes of ``BlobStream/ranges`` in order, exactly once each; no buffer has bytes of two ranges.
    public struct Iterator: AsyncIteratorProtocol {
        private let stream: BlobStream
        private var opened: OpenedBody?
        /// What of a buffer from the network belongs to a later range.
        private var rest = ByteBuffer()
        /// What has not been given yet.
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

        /// The next bytes of `range`; `nil` when a body has ended or nothing of what came is wanted.
        private mutating func read(_ range: ByteRange) async throws(RegistryError) -> ByteBuffer? {
            let body = try await currentBody()
            if rest.readableBytes == 0 {
                guard let buffer = try await body.reader.next() else {
                    guard !body.reader.mayJump, body.reader.position >= body.range.end else {
                        throw RegistryError(
                            .brokenBody,
                            "the body of \(stream.location) ended at \(body.reader.position) of \(body.range.end)")
                    }
                    // A host that gives one range a request has given this one.
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
                // RFC 9110 §15.3.7.2 lets a server send the parts in another order. None is known to.
                stream.requester.memory.withLock { $0.learn(refusesMultipleRanges: body.host) }
                throw RegistryError(
                    .brokenBody, "the body of \(stream.location) goes on at \(start) instead of \(range.offset)")
            }
            return rest.readSlice(length: Int(Swift.min(range.count, UInt64(rest.readableBytes))))
        }

        /// The body to read from, asked for anew when the last one broke or had no more.
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

        /// Waits before the next try, or throws when there is to be none.
        private mutating func recover(from error: RegistryError) async throws(RegistryError) {
            // Opening has its own retries; what it reports is final.
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
