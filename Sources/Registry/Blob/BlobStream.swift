public import Base
public import NIOCore

/// Bytes of a blob as they arrive.
///
/// Backpressured: nothing is read from the network that nobody asks for. A body that breaks is taken up again from its
/// next byte, on another host if need be, within the client's retry budget; only then does iterating throw. Stopping
/// early (dropping the iterator, or the stream without iterating) closes the connection. The bytes are not verified.
public struct BlobStream: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer
    public typealias Failure = RegistryError

    /// What the body is: what was asked for, cut at the end of the blob.
    public let range: ByteRange
    /// The size of the whole blob.
    public let blobSize: UInt64

    let client: RegistryClient
    let location: BlobLocation
    let priority: RequestPriority
    let permit: Permit?
    /// The answer whose head is already here; taken by the first iterator.
    let first: Guarded<BodyReader?>

    /// A second iterator asks the registry again.
    public func makeAsyncIterator() -> Iterator {
        let reader = first.withLock { first -> BodyReader? in
            defer { first = nil }
            return first
        }
        return Iterator(stream: self, reader: reader)
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

    /// Gives the bytes of ``BlobStream/range`` in order, exactly once each.
    public struct Iterator: AsyncIteratorProtocol {
        private let stream: BlobStream
        private var reader: BodyReader?
        private var position: UInt64
        private var schedule: RetrySchedule
        private var resumes = 0

        init(stream: BlobStream, reader: BodyReader?) {
            self.stream = stream
            self.reader = reader
            position = stream.range.offset
            schedule = stream.client.makeSchedule(stream.priority)
        }

        public mutating func next() async throws(RegistryError) -> ByteBuffer? {
            let end = stream.range.end
            while position < end {
                do throws(RegistryError) {
                    let reader = try await currentReader()
                    guard var buffer = try await reader.next() else {
                        throw RegistryError(
                            .brokenBody, "the body of \(stream.location) ended at \(position) of \(end)")
                    }
                    let wanted = end - position
                    if UInt64(buffer.readableBytes) > wanted {
                        buffer = buffer.getSlice(at: buffer.readerIndex, length: Int(wanted)) ?? buffer
                    }
                    position += UInt64(buffer.readableBytes)
                    schedule.madeProgress(now: stream.client.clock.now())
                    if position >= end { finish() }
                    return buffer
                } catch {
                    reader = nil
                    try await recover(from: error)
                }
            }
            finish()
            return nil
        }

        /// The body to read from, asked for anew when the last one broke.
        private mutating func currentReader() async throws(RegistryError) -> BodyReader {
            if let reader { return reader }
            let rest = ByteRange(offset: position, end: stream.range.end)
            let opened = try await stream.client.openBody(
                stream.location, .range(rest), priority: stream.priority, knownSize: stream.blobSize)
            reader = opened.reader
            return opened.reader
        }

        /// Waits before the next try, or throws when there is to be none.
        private mutating func recover(from error: RegistryError) async throws(RegistryError) {
            // Opening has its own retries; what it reports is final.
            guard error.code == .brokenBody || error.code == .timedOut, resumes < stream.client.maximumResumes else {
                finish()
                throw error
            }
            resumes += 1
            switch schedule.bodyBroke(now: stream.client.clock.now(), random: stream.client.clock.random()) {
            case .retry(let delay):
                stream.client.counters.resumes.add()
                try await stream.client.pause(delay)
            case .giveUp:
                finish()
                throw error
            }
        }

        private mutating func finish() {
            reader = nil
            stream.permit?.release()
        }
    }
}
