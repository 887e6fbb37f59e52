import Base
import NIOCore
import Planner
import Registry

/// Cuts a body into extents as it arrives.
struct BodyCursor {
    private var iterator: BlobStream.Iterator
    private var buffer = ByteBuffer()
    /// What has not been taken of the body: the first byte of `buffer` is the first of these.
    private var rest: ArraySlice<ByteRange>
    private let received: Counter
    private let skipped: Counter

    init(_ stream: BlobStream, received: Counter, skipped: Counter) {
        iterator = stream.makeAsyncIterator()
        rest = stream.ranges[...]
        self.received = received
        self.skipped = skipped
    }

    /// The bytes of `range`, which lies in what has not been taken. What comes before it is dropped.
    mutating func take(_ range: ByteRange) async throws(RegistryError) -> [ByteBuffer] {
        while let first = rest.first, !first.contains(range) || first.offset < range.offset {
            let end = first.contains(range) ? range.offset : first.end
            try await pass(end - first.offset) { _ in }
            skipped.add(end - first.offset)
        }
        guard !rest.isEmpty else {
            throw RegistryError(.brokenBody, "\(range) was asked for after the body had gone past it")
        }
        var pieces: [ByteBuffer] = []
        try await pass(range.count) { pieces.append($0) }
        return pieces
    }

    /// As ``take(_:)``, copied together.
    mutating func bytes(_ range: ByteRange) async throws(RegistryError) -> [UInt8] {
        try await take(range).reduce(into: []) { $0 += $1.readableBytesView }
    }

    /// Takes the next `count` bytes, all of them in the range that is first now.
    private mutating func pass(_ count: UInt64, _ body: (ByteBuffer) -> Void) async throws(RegistryError) {
        var left = count
        while left > 0 {
            try await more()
            let step = min(UInt64(buffer.readableBytes), left)
            if let slice = buffer.readSlice(length: Int(step)) { body(slice) }
            left -= step
        }
        guard let first = rest.first else { return }
        let after = ByteRange(offset: first.offset + count, end: first.end)
        if after.isEmpty { rest.removeFirst() } else { rest[rest.startIndex] = after }
    }

    /// Makes sure that there is at least one byte.
    private mutating func more() async throws(RegistryError) {
        while buffer.readableBytes == 0 {
            guard let next = try await iterator.next() else {
                throw RegistryError(.brokenBody, "the blob ends before the extents of its index do")
            }
            received.add(UInt64(next.readableBytes))
            buffer = next
        }
    }
}
