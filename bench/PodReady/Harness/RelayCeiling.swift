import Base
public import Lab
import NIOCore
import NIOPosix

/// Measurements of the link itself: its speed without a shape, and the accuracy of its shapes.
public struct RelayCeiling: Sendable {
    /// The figures of one measurement.
    public struct Figure: Sendable {
        public var bytes: UInt64
        public var seconds: Double
        /// The CPU time of the relay on one core, in seconds.
        public var cpuSeconds: Double
        /// The time that the shape promises, in seconds; `nil` without a shape.
        public var promised: Double?
        public var bitsPerSecond: Double { Double(bytes) * 8 / seconds }
    }

    /// Transfers `bytes` from a dedicated server through a relay of `shape`, on `connections` concurrent connections.
    public static func measure(
        _ shape: LinkShape, bytes: UInt64, connections: Int = 1
    ) async throws -> Figure {
        let teardown = Teardown()
        let outcome: Result<Figure, any Error>
        do {
            let source = try await ByteSource(teardown: teardown)
            let relay = try await Relay(to: source.port, shape: shape, teardown: teardown)
            let cpuBefore = try await relay.cpuSeconds()
            let share = bytes / UInt64(connections)
            let began = MonotonicTime.now()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<connections {
                    group.addTask {
                        try await blocking {
                            var connection = try PlainHTTP(port: relay.port)
                            try connection.send(PlainHTTP.request("/\(share)"))
                            _ = try connection.head()
                            try connection.read(share)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let seconds = Double(MonotonicTime.now().since(began)) / 1e9
            let total = relay.record.bytes
            // The handshake takes one round trip, the request another.
            let promised = shape.seconds(for: total) + 2 * shape.roundTrip + Double(shape.firstByteDelay) / 1e9
            outcome = .success(
                Figure(
                    bytes: total, seconds: seconds, cpuSeconds: try await relay.cpuSeconds() - cpuBefore,
                    promised: shape == .unshaped ? nil : promised))
        } catch {
            outcome = .failure(error)
        }
        await blocking { teardown.run() }
        return try outcome.get()
    }
}

/// An HTTP server of zeros. `GET /N` returns N zero bytes.
private final class ByteSource: Sendable {
    let port: Int

    init(teardown: Teardown) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        try teardown.add("byte source") { try? group.syncShutdownGracefully() }
        let server = try await ServerBootstrap(group: group)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ZeroHandler())
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = server.localAddress?.port ?? 0
    }
}

private final class ZeroHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let piece = ByteBuffer(repeating: 0, count: 256 << 10)
    private var head = ""
    private var left: UInt64 = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        head += String(buffer: unwrapInboundIn(data))
        guard head.hasSuffix("\r\n\r\n") else { return }
        left = head.split(separator: " ").dropFirst().first.flatMap { UInt64($0.dropFirst()) } ?? 0
        head = ""
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: \(left)\r\n\r\n"
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        go(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        go(context)
    }

    private func go(_ context: ChannelHandlerContext) {
        while left > 0, context.channel.isWritable {
            var piece = Self.piece
            if left < UInt64(piece.readableBytes) { piece = piece.readSlice(length: Int(left)) ?? piece }
            left -= UInt64(piece.readableBytes)
            context.writeAndFlush(wrapOutboundOut(piece), promise: nil)
        }
    }
}
