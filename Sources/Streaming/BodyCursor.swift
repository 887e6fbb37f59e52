import Base
import NIOCore
import Planner
import Registry

/// Cuts a body into extents as it arrives.
struct BodyCursor {
    private var iterator: BlobStream.Iterator
    private var buffer = ByteBuffer()
    /// Where in the blob the first byte of `buffer` lies.
    private var position: UInt64
    private let received: Counter
    private let skipped: Counter

    init(_ stream: BlobStream, received: Counter, skipped: Counter) {
        iterator = stream.makeAsyncIterator()
        position = stream.range.offset
        self.received = received
        self.skipped = skipped
    }

    /// The bytes of `range`, which lies behind everything that was taken before. What lies between is dropped.
    mutating func take(_ range: ByteRange) async throws(RegistryError) -> [ByteBuffer] {
        guard range.offset >= position else {
            throw RegistryError(.brokenBody, "\(range) was asked for after the body had gone past it")
        }
        while position < range.offset {
            try await more()
            let step = min(UInt64(buffer.readableBytes), range.offset - position)
            buffer.moveReaderIndex(forwardBy: Int(step))
            position += step
            skipped.add(step)
        }
        var pieces: [ByteBuffer] = []
        while position < range.end {
            try await more()
            let step = min(UInt64(buffer.readableBytes), range.end - position)
            if let slice = buffer.readSlice(length: Int(step)) { pieces.append(slice) }
            position += step
        }
        return pieces
    }

    /// Makes sure that there is at least one byte.
    private mutating func more() async throws(RegistryError) {
        while buffer.readableBytes == 0 {
            guard let next = try await iterator.next() else {
                throw RegistryError(.brokenBody, "the blob ends at \(position), before the extents of its index do")
            }
            received.add(UInt64(next.readableBytes))
            buffer = next
        }
    }
}
