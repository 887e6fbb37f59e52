package import NIOCore

/// A channel handler that answers a peer's HTTP/2 pings (RFC 9113, section 6.7).
///
/// Go's gRPC measures the bandwidth of a connection with pings, up to one for each message that it receives.
/// swift-nio-http2 takes that for an attack: it closes a connection with more than 200 pings in 30 seconds. containerd
/// then repeats calls that were already carried out, and pods fail. The limit cannot be configured through grpc-swift.
/// So this handler answers pings before they reach swift-nio-http2.
///
/// The handler must be the first of its channel's pipeline. While the peer does not read the answers, it passes pings
/// on, so that the limit protects memory.
package final class PingResponder: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// The first bytes of a client's connection (RFC 9113, section 3.4), whose content the next handler checks.
    private static let prefaceLength = 24
    private static let headerLength = 9
    private static let pingLength = 8
    private static let pingType: UInt8 = 6
    private static let acknowledged: UInt8 = 1

    /// The number of bytes to pass on until the next frame begins.
    private var passing: Int
    /// The beginning of a frame, too short to tell whether the frame is a ping.
    private var held: ByteBuffer?

    private init(role: Role) {
        passing = role == .server ? Self.prefaceLength : 0
    }

    package enum Role: Sendable {
        case client, server
    }

    /// Adds a responder to the channel of a connection.
    ///
    /// - Parameter role: our role in the connection.
    package static func add(to channel: any Channel, as role: Role) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(PingResponder(role: role), position: .first)
        }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var input = unwrapInboundIn(data)
        if var held {
            held.writeBuffer(&input)
            input = held
            self.held = nil
        }
        var next = input.readerIndex
        var isAnswered = false
        while next < input.writerIndex {
            if passing > 0 {
                let count = min(passing, input.writerIndex - next)
                passing -= count
                next += count
                continue
            }
            guard let frame = frame(at: next, in: input) else { break }
            guard frame.isPing, context.channel.isWritable else {
                passing = Self.headerLength + frame.length
                continue
            }
            let end = next + Self.headerLength + Self.pingLength
            guard end <= input.writerIndex else { break }
            pass(input, upTo: next, context)
            answer(input, at: next + Self.headerLength, context)
            isAnswered = true
            input.moveReaderIndex(to: end)
            next = end
        }
        pass(input, upTo: next, context)
        if next < input.writerIndex { held = input.getSlice(at: next, length: input.writerIndex - next) }
        if isAnswered { context.flush() }
    }

    /// Passes the bytes before `end` on to the next handler.
    private func pass(_ input: ByteBuffer, upTo end: Int, _ context: ChannelHandlerContext) {
        guard end > input.readerIndex,
            let bytes = input.getSlice(at: input.readerIndex, length: end - input.readerIndex)
        else { return }
        context.fireChannelRead(wrapInboundOut(bytes))
    }

    /// Returns the frame that begins at `index`; `nil` if its header is incomplete.
    private func frame(at index: Int, in input: ByteBuffer) -> (length: Int, isPing: Bool)? {
        guard let header = input.getBytes(at: index, length: Self.headerLength) else { return nil }
        let length = Int(header[0]) << 16 | Int(header[1]) << 8 | Int(header[2])
        let isOfConnection = header[5...].allSatisfy { $0 == 0 }
        let isPing =
            header[3] == Self.pingType && length == Self.pingLength && header[4] & Self.acknowledged == 0
            && isOfConnection
        return (length, isPing)
    }

    private func answer(_ input: ByteBuffer, at index: Int, _ context: ChannelHandlerContext) {
        var output = context.channel.allocator.buffer(capacity: Self.headerLength + Self.pingLength)
        output.writeBytes([0, 0, UInt8(Self.pingLength), Self.pingType, Self.acknowledged, 0, 0, 0, 0])
        if var payload = input.getSlice(at: index, length: Self.pingLength) { output.writeBuffer(&payload) }
        context.write(wrapOutboundOut(output), promise: nil)
    }
}
