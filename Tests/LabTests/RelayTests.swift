import Base
import Lab
import NIOCore
import NIOPosix
import Testing

/// The relay between a small server that answers each request with as many bytes as its path says, and a raw client.
struct RelayTests {
    @Test func countsRequestsAndBytes() async throws {
        try await withRelay(.unshaped) { relay in
            let first = try await Self.get("/v2/a/b/manifests/1", range: nil, port: relay.port)
            let second = try await Self.get("/v2/a/b/blobs/200000", range: "bytes=0-199999", port: relay.port)
            let record = relay.record
            #expect(record.requests.map(\.path) == ["/v2/a/b/manifests/1", "/v2/a/b/blobs/200000"])
            #expect(record.requests.map(\.range) == [nil, "bytes=0-199999"])
            #expect(record.requests.map(\.agent) == ["relay-test", "relay-test"])
            #expect(record.requests.map(\.kind) == [.manifest, .blob("200000")])
            #expect(record.requests.map { Int($0.bytes) } == [first, second])
            #expect(record.bytes == UInt64(first + second))
            #expect(record.connections == 2)
            #expect(second > 200_000)
            relay.forget()
            #expect(relay.record.requests.isEmpty)
        }
    }

    @Test func aCutLinkGivesNothingUntilItIsRestored() async throws {
        try await withRelay(.unshaped) { relay in
            relay.cut()
            let nothing = try? await Self.get("/10", range: nil, port: relay.port)
            #expect((nothing ?? 0) == 0)
            relay.restore()
            let something = try await Self.get("/10", range: nil, port: relay.port)
            #expect(something > 10)
        }
    }

    /// Real time: the rate and the delay are what is being tested. What is slower than the link is the machine, so only
    /// the lower bound is exact.
    @Test func rateAndDelayAreKept() async throws {
        // 2 MB at 80 Mbit/s are 200 ms, and a round trip of 20 ms and the first byte's 30 ms come on top.
        let shape = LinkShape(
            bitsPerSecond: 80_000_000, oneWayDelay: 10_000_000, firstByteDelay: 30_000_000)
        try await withRelay(shape) { relay in
            let began = MonotonicTime.now()
            let count = try await Self.get("/2000000", range: nil, port: relay.port)
            let milliseconds = Double(MonotonicTime.now().since(began)) / 1e6
            let expected = Double(count) * 8 / 80_000 + 20 + 30
            #expect(milliseconds >= expected * 0.99)
            #expect(milliseconds < expected * 20)
        }
    }

    // MARK: The two ends

    private func withRelay(_ shape: LinkShape, _ body: (Relay) async throws -> Void) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let teardown = Teardown()
        let outcome: Result<Void, any Error>
        do {
            let server = try await ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ByteServer())
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            let port = try #require(server.localAddress?.port)
            outcome = .success(try await body(Relay(to: port, shape: shape, teardown: teardown)))
        } catch {
            outcome = .failure(error)
        }
        await blocking { teardown.run() }
        try await group.shutdownGracefully()
        try outcome.get()
    }

    /// Sends one request and gives the number of bytes that came until the server closed.
    private static func get(_ path: String, range: String?, port: Int) async throws -> Int {
        let group = MultiThreadedEventLoopGroup.singleton
        let channel = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
        return try await channel.executeThenClose { inbound, outbound in
            let head =
                "GET \(path) HTTP/1.1\r\nHost: test\r\nUser-Agent: relay-test\r\n"
                + (range.map { "Range: \($0)\r\n" } ?? "") + "\r\n"
            try await outbound.write(ByteBuffer(string: head))
            var count = 0
            for try await bytes in inbound { count += bytes.readableBytes }
            return count
        }
    }
}

/// Answers each request with as many bytes as the last part of its path says, then closes.
private final class ByteServer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var head = ""

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        head += String(buffer: unwrapInboundIn(data))
        guard head.hasSuffix("\r\n\r\n") else { return }
        let path = head.split(separator: " ").dropFirst().first ?? ""
        let count = path.split(separator: "/").last.flatMap { Int($0) } ?? 0
        var answer = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\nConnection: close\r\n\r\n")
        answer.writeRepeatingByte(7, count: count)
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(answer)).whenComplete { _ in channel.close(promise: nil) }
    }
}
