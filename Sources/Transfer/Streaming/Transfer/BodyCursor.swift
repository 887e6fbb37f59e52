import Base
import NIOCore
import Registry

/// A cursor over the body of a response, which covers one or more ranges of a blob. The cursor returns each range that
/// the caller requests, as soon as the bytes of the range have arrived.
struct BodyCursor {
    private var iterator: BlobStream.Iterator
    private var buffer = ByteBuffer()
    /// The ranges of the blob that the cursor has not passed yet. The first of these ranges begins with the first byte
    /// of `buffer`. While `buffer` is empty, the first range begins with the next byte that arrives.
    private var rest: ArraySlice<ByteRange>
    private let received: Counter
    private let skipped: Counter

    init(_ stream: BlobStream, received: Counter, skipped: Counter) {
        iterator = stream.makeAsyncIterator()
        rest = stream.ranges[...]
        self.received = received
        self.skipped = skipped
    }

    /// Waits until all bytes of `range` have arrived, and returns them. Drops the bytes before `range`.
    ///
    /// - Throws: ``RegistryError`` with code `brokenBody` if the cursor has already passed the beginning of `range`,
    ///   or if the body ends too early; errors of the response.
    mutating func take(_ range: ByteRange) async throws(RegistryError) -> [ByteBuffer] {
        while let first = rest.first, !first.contains(range) || first.offset < range.offset {
            let end = first.contains(range) ? range.offset : first.end
            try await advance(end - first.offset) { _ in }
            skipped.add(end - first.offset)
        }
        guard !rest.isEmpty else {
            throw RegistryError(.brokenBody, "\(range) was requested after the body had passed it")
        }
        var pieces: [ByteBuffer] = []
        try await advance(range.count) { pieces.append($0) }
        return pieces
    }

    /// Returns the bytes of `range` like ``take(_:)``, but copies them into one array.
    mutating func bytes(_ range: ByteRange) async throws(RegistryError) -> [UInt8] {
        try await take(range).reduce(into: []) { $0 += $1.readableBytesView }
    }

    /// Reads the next `count` bytes of the response, and calls `body` with each buffer as its bytes arrive. The buffers
    /// together hold exactly these bytes. All of them must lie in the first range of `rest`.
    private mutating func advance(_ count: UInt64, _ body: (ByteBuffer) -> Void) async throws(RegistryError) {
        var left = count
        while left > 0 {
            try await fillBuffer()
            let step = min(UInt64(buffer.readableBytes), left)
            if let slice = buffer.readSlice(length: Int(step)) { body(slice) }
            left -= step
        }
        guard let first = rest.first else { return }
        let after = ByteRange(offset: first.offset + count, end: first.end)
        if after.isEmpty { rest.removeFirst() } else { rest[rest.startIndex] = after }
    }

    /// Waits until the buffer has at least one byte.
    private mutating func fillBuffer() async throws(RegistryError) {
        while buffer.readableBytes == 0 {
            guard let next = try await iterator.next() else {
                throw RegistryError(.brokenBody, "the blob ends before the extents of its index")
            }
            received.add(UInt64(next.readableBytes))
            buffer = next
        }
    }
}
