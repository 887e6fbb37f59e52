import Base
import NIOCore
import NIOHTTP1

/// A server of one connection. It reads a request, lets the registry answer, and writes the response.
struct Connection: Sendable {
    typealias AsyncChannel = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>
    typealias Writer = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    private let channel: AsyncChannel
    private let box: TestRegistry.HandlerBox

    init(_ channel: AsyncChannel, _ box: TestRegistry.HandlerBox) {
        self.channel = channel
        self.box = box
    }

    private struct Closed: Error {}

    func serve() async throws {
        try await channel.executeThenClose { inbound, outbound in
            var head: HTTPRequestHead?
            var body = ByteBuffer()
            for try await part in inbound {
                switch part {
                case .head(let received):
                    head = received
                    body.clear()
                case .body(var buffer):
                    body.writeBuffer(&buffer)
                case .end:
                    guard let request = head, let registry = box.registry.withLock({ $0.registry }) else { return }
                    let answer = await registry.answer(
                        request, body: Array(body.readableBytesView), connection: ObjectIdentifier(channel.channel))
                    do {
                        try await write(answer, to: outbound, method: request.method)
                    } catch is Closed {
                        return
                    }
                    if !request.isKeepAlive { return }
                }
            }
        }
    }

    private func write(_ answer: Answer, to outbound: Writer, method: HTTPMethod) async throws {
        if answer.closes { throw Closed() }
        if answer.stallsHead { try await stall() }
        try await outbound.write(
            .head(
                HTTPResponseHead(version: .http1_1, status: .init(statusCode: answer.status), headers: answer.headers)))
        if method != .HEAD {
            let end = min(answer.body.count, answer.breaksAfter ?? .max, answer.stallsAfter ?? .max)
            var position = 0
            while position < end {
                let next = min(position + (64 << 10), end)
                try await outbound.write(
                    .body(.byteBuffer(ByteBuffer(bytes: answer.body.dropFirst(position).prefix(next - position)))))
                position = next
            }
            if answer.breaksAfter != nil { throw Closed() }
            if answer.stallsAfter != nil { try await stall() }
        }
        try await outbound.write(.end(nil))
    }

    /// Waits until the registry stops, because that cancels this task.
    private func stall() async throws {
        while true { try await Task.sleep(for: .seconds(3600)) }
    }
}

/// A response, and the faults to cause while it is written.
struct Answer {
    var status: Int
    var headers: HTTPHeaders
    var body: ArraySlice<UInt8>
    var breaksAfter: Int?
    var stallsAfter: Int?
    var stallsHead = false
    var closes = false

    init(_ status: Int, _ headers: HTTPHeaders = [:], body: ArraySlice<UInt8> = []) {
        self.status = status
        self.headers = headers
        self.body = body
        if !headers.contains(name: "content-length") {
            self.headers.add(name: "content-length", value: String(body.count))
        }
    }

    init(_ status: Int, _ headers: HTTPHeaders = [:], text: String) {
        self.init(status, headers, body: Array(text.utf8)[...])
    }
}
