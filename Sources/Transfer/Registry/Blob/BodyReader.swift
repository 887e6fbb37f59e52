import AsyncHTTPClient
import Base
import NIOCore

/// A reader of one response's body. It returns bytes of the blob, and knows their offset in the blob. It skips unwanted
/// bytes and parses multipart bodies.
///
/// `@unchecked Sendable` is safe, because only one task at a time uses the reader. ``BlobStream`` passes the reader
/// once, under a lock, from the task that opened the stream to the task that iterates. The stream then keeps no
/// reference to the reader.
final class BodyReader: @unchecked Sendable {
    private var iterator: HTTPClientResponse.Body.AsyncIterator
    private var multipart: MultipartParser?
    private var skip: UInt64 = 0
    /// True if the client requested several ranges and this body is multipart. A part may then begin at any offset, not
    /// only where the previous part ended.
    private(set) var mayJump = false
    /// The offset in the blob of the next byte that ``next()`` returns.
    private(set) var position: UInt64
    private let counters: RegistryCounters

    /// True if the body is multipart. Each part of such a body states its range of the blob.
    var isMultipart: Bool { multipart != nil }

    /// Creates a reader of a plain body.
    ///
    /// - Parameters:
    ///   - position: the offset in the blob of the first byte to return.
    ///   - skip: the number of unwanted bytes at the start of the body, before that byte.
    init(_ body: HTTPClientResponse.Body, position: UInt64, skip: UInt64, counters: RegistryCounters) {
        iterator = body.makeAsyncIterator()
        self.position = position
        self.skip = skip
        self.counters = counters
    }

    /// Creates a reader of a multipart body. Call ``readPart(asked:)`` before ``next()``.
    init(_ body: HTTPClientResponse.Body, boundary: String, counters: RegistryCounters) {
        iterator = body.makeAsyncIterator()
        multipart = MultipartParser(boundary: boundary)
        position = 0
        self.counters = counters
    }

    /// Reads a multipart body up to the bytes of its first part. Returns the part's range and the blob's size, which is
    /// `nil` if the part does not state it.
    ///
    /// - Parameter asked: the requested bytes, to check the part's range.
    func readPart(asked: BlobSelection) async throws(RegistryError) -> (range: ByteRange, size: UInt64?) {
        while true {
            guard var parser = multipart else { throw RegistryError(.malformedAnswer, "not a multipart answer") }
            let event = try parser.next()
            multipart = parser
            switch event {
            case .part(let range, let size):
                try RangeAnswer.check(range, size: size, asked: asked)
                if case .ranges = asked { mayJump = true }
                position = range.offset
                return (range, size)
            case .needMore:
                guard let buffer = try await read() else {
                    throw RegistryError(.brokenBody, "multipart answer ended before its first part")
                }
                multipart?.receive(buffer)
            case .bytes, .end:
                throw RegistryError(.malformedAnswer, "multipart answer without a part")
            }
        }
    }

    /// Returns the next bytes, or `nil` at the end of the body. The buffer is never empty.
    ///
    /// A server may send a multipart body although the client requested one range. The method then also returns `nil`
    /// at a part that does not continue the previous part.
    func next() async throws(RegistryError) -> ByteBuffer? {
        if multipart != nil { return try await nextOfParts() }
        while true {
            guard var buffer = try await read() else { return nil }
            if skip > 0 {
                let count = min(skip, UInt64(buffer.readableBytes))
                buffer.moveReaderIndex(forwardBy: Int(count))
                skip -= count
            }
            guard buffer.readableBytes > 0 else { continue }
            position += UInt64(buffer.readableBytes)
            return buffer
        }
    }

    private func nextOfParts() async throws(RegistryError) -> ByteBuffer? {
        while true {
            guard var parser = multipart else { return nil }
            let event = try parser.next()
            multipart = parser
            switch event {
            case .bytes(let buffer):
                position += UInt64(buffer.readableBytes)
                return buffer
            case .part(let range, _):
                // A server may split one range into several parts. If the client requested only one range, the useful
                // bytes end at a part that does not continue the previous part.
                guard range.offset == position || mayJump else { return nil }
                position = range.offset
            case .end:
                return nil
            case .needMore:
                guard let buffer = try await read() else { return nil }
                multipart?.receive(buffer)
            }
        }
    }

    private func read() async throws(RegistryError) -> ByteBuffer? {
        do {
            let buffer = try await iterator.next()
            if let buffer { counters.bytes.add(UInt64(buffer.readableBytes)) }
            return buffer
        } catch {
            let translated = HTTPTransport.translate(error, doing: "reading a body")
            guard translated.code == .connection else { throw translated }
            throw RegistryError(.brokenBody, "the body broke off", cause: error)
        }
    }
}
