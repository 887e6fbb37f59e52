import Base
import Harness
import Lab
import NIOCore
import NIOPosix
import TestSupport
import Testing

/// The relay between a raw client and a small server that answers with as many bytes as the request's path says.
struct RelayTests {
    @Test("counts requests and bytes") func countsRequestsAndBytes() async throws {
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

    @Test("a cut link passes nothing until it is restored") func cutLinkPassesNothingUntilItIsRestored() async throws {
        try await withRelay(.unshaped) { relay in
            relay.cut()
            let nothing = try? await Self.get("/10", range: nil, port: relay.port)
            #expect((nothing ?? 0) == 0)
            relay.restore()
            let something = try await Self.get("/10", range: nil, port: relay.port)
            #expect(something > 10)
        }
    }

    /// Links, and bytes to transfer over them.
    static let timed: [(LinkShape, UInt64)] = [
        // 400 ms of bytes, 40 ms for handshake and request, 30 ms for the first byte.
        (LinkShape(bitsPerSecond: 80_000_000, oneWayDelay: 10_000_000, firstByteDelay: 30_000_000), 4_000_000),
        // A share below the link's rate.
        (LinkShape(bitsPerSecond: 800_000_000, oneWayDelay: 0, bitsPerSecondOfConnection: 80_000_000), 4_000_000),
        // Only delay.
        (LinkShape(bitsPerSecond: 1_000_000_000, oneWayDelay: 100_000_000), 1000),
    ]

    /// Real time, because rate and delay are under test. A transfer is never too fast. The machine may be busy, so the
    /// best of a few attempts must be within 5 % of the expected time.
    @Test("keeps rate and delay", arguments: timed)
    func keepsRateAndDelay(_ shape: LinkShape, _ bytes: UInt64) async throws {
        var best = Double.infinity
        for _ in 0..<5 where best > 1.05 {
            let figure = try await RelayCeiling.measure(shape, bytes: bytes)
            let share = Double(figure.bytes) * 8 / Double(max(shape.bitsPerSecondOfConnection, 1))
            let expected = shape.bitsPerSecondOfConnection > 0 ? share : try #require(figure.promised)
            #expect(figure.seconds >= expected * 0.95)
            best = min(best, figure.seconds / expected)
        }
        #expect(best <= 1.05)
    }

    @Test("resets a connection after a number of bytes") func resetsConnectionAfterNumberOfBytes() async throws {
        try await withRelay(.unshaped) { relay in
            try await relay.begin(Link("none/reset=50000"))
            await #expect(throws: (any Error).self) {
                try await Self.get("/200000", range: nil, port: relay.port)
            }
            #expect(relay.record.bytes == 50_000)
            // The next one carries as much again.
            let small = try await Self.get("/1000", range: nil, port: relay.port)
            #expect(small > 1000)
        }
    }

    @Test("loses the same responses for the same seed") func losesSameResponsesForSameSeed() async throws {
        var lost: [[Bool]] = []
        for _ in 0..<2 {
            try await withRelay(.unshaped) { relay in
                try await relay.begin(Link("none/loss=0.5/seed=3"))
                var these: [Bool] = []
                for _ in 0..<16 {
                    these.append((try? await Self.get("/300000", range: nil, port: relay.port)) == nil)
                }
                lost.append(these)
            }
        }
        #expect(lost[0] == lost[1])
        #expect((3...13).contains(lost[0].count { $0 }))
    }

    @Test("an outage begins and ends") func outageBeginsAndEnds() async throws {
        try await withRelay(.unshaped) { relay in
            try await relay.begin(Link("none/outage=0:0.3"))
            let began = MonotonicTime.now()
            var refused = 0
            let isBack = await eventually {
                refused += 1
                return ((try? await Self.get("/10", range: nil, port: relay.port)) ?? 0) > 0
            }
            try #require(isBack)
            refused -= 1
            #expect(refused > 0)
            #expect(MonotonicTime.now().since(began) >= 290_000_000)
        }
    }

    @Test("parses links") func parsesLinks() throws {
        let link = try Link("wan/loss=0.02/outage=2:6/cap=20/reset=1000000/seed=7")
        #expect(link.shape.bitsPerSecond == 100_000_000)
        #expect(link.shape.bitsPerSecondOfConnection == 20_000_000)
        #expect(link.faults.loss == 0.02)
        #expect(link.faults.resetAfter == 1_000_000)
        #expect(link.faults.seed == 7)
        #expect(link.faults.outage == .init(after: 2_000_000_000, lasting: 6_000_000_000))
    }

    @Test(
        "rejects unknown links",
        arguments: [
            "", "moon", "wan/", "wan/loss", "wan/loss=2", "wan/cap=0", "wan/cap=-1", "wan/outage=1", "wan/x=1",
        ])
    func rejectsUnknownLinks(_ name: String) throws {
        let error = #expect(throws: LabError.self) { try Link(name) }
        #expect(error?.code == .usage)
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

    /// Sends one request and returns the number of bytes until the server closed.
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

/// Answers each request with as many bytes as the last component of its path says, then closes.
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
