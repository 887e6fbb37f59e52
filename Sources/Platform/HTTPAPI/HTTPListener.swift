public import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
public import ServiceLifecycle

/// An HTTP/1.1 server for small bodies, on a unix socket or a TCP port. On each connection it answers one request after
/// another.
public final class HTTPListener: Service {
    /// The listening address.
    public enum Address: Sendable, CustomStringConvertible {
        /// The path of the unix socket that the server creates. The server replaces an existing socket at this path.
        case unix(String)
        /// An address of this machine, and a port. If the port is 0, the kernel chooses one.
        case tcp(String, Int)

        public var description: String {
            switch self {
            case .unix(let path): path
            case .tcp(let host, let port): "\(host):\(port)"
            }
        }
    }

    /// The time after which the server closes an idle connection.
    private static let idleTime = TimeAmount.seconds(60)

    private let address: Address
    private let maximumBody: Int
    private let logger: Logger
    private let started: @Sendable (Int?) -> Void
    private let answer: @Sendable (HTTPRequest) async -> HTTPAnswer

    /// Creates a server. The server listens once ``run()`` is called.
    ///
    /// - Parameters:
    ///   - address: the listening address.
    ///   - maximumBody: the largest accepted body of a request, in bytes.
    ///   - logger: receives one message when the server starts to listen.
    ///   - started: called once when the server starts to listen. The argument is the TCP port; `nil` on a unix socket.
    ///   - answer: returns the response to a request. This closure must not block its thread.
    public init(
        _ address: Address, maximumBody: Int, logger: Logger, started: @escaping @Sendable (Int?) -> Void = { _ in },
        answer: @escaping @Sendable (HTTPRequest) async -> HTTPAnswer
    ) {
        self.address = address
        self.maximumBody = maximumBody
        self.logger = logger
        self.started = started
        self.answer = answer
    }

    public func run() async throws {
        let (maximumBody, answer) = (maximumBody, answer)
        let bootstrap = ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.backlog, value: 16)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline()
                    try pipeline.addHandler(IdleStateHandler(readTimeout: Self.idleTime))
                    try pipeline.addHandler(ConnectionHandler(maximumBody, answer))
                }
            }
        let channel =
            switch address {
            case .unix(let path):
                try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
            case .tcp(let host, let port):
                try await bootstrap.bind(host: host, port: port).get()
            }
        logger.info("listening", metadata: ["address": "\(address)"])
        started(channel.localAddress?.port)
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                try await channel.closeFuture.get()
            } onGracefulShutdown: {
                channel.close(promise: nil)
            }
        } onCancel: {
            channel.close(promise: nil)
        }
    }
}

/// A handler that answers the requests of one connection, one after another.
private final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let maximumBody: Int
    private let answer: @Sendable (HTTPRequest) async -> HTTPAnswer
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var isTooLarge = false
    private var isAnswering = false

    init(_ maximumBody: Int, _ answer: @escaping @Sendable (HTTPRequest) async -> HTTPAnswer) {
        self.maximumBody = maximumBody
        self.answer = answer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
            isTooLarge = false
        case .body(let buffer):
            isTooLarge = isTooLarge || body.count + buffer.readableBytes > maximumBody
            if !isTooLarge { body += Array(buffer.readableBytesView) }
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // Close an idle connection. But while we prepare a response, the client is expected to send nothing.
        if event is IdleStateHandler.IdleStateEvent, !isAnswering { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        var headers: [String: String] = [:]
        for (name, value) in head.headers where headers[name.lowercased()] == nil { headers[name.lowercased()] = value }
        let request = HTTPRequest(method: head.method.rawValue, target: head.uri, headers: headers, body: body)
        let (answer, isTooLarge, maximumBody) = (answer, isTooLarge, maximumBody)
        body = []
        isAnswering = true
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        context.eventLoop.makeFutureWithTask {
            isTooLarge ? .text(413, "larger than \(maximumBody) bytes") : await answer(request)
        }.whenComplete { (result: Result<HTTPAnswer, any Error>) in
            let (handler, context) = bound.value
            handler.isAnswering = false
            switch result {
            case .success(let answer): handler.write(answer, to: head, on: context)
            case .failure: context.close(promise: nil)
            }
        }
    }

    private func write(_ answer: HTTPAnswer, to head: HTTPRequestHead, on context: ChannelHandlerContext) {
        let headers: HTTPHeaders = ["content-type": answer.type, "content-length": String(answer.body.count)]
        let status = HTTPResponseStatus(statusCode: answer.status)
        let response = HTTPResponseHead(version: head.version, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        }
        let written = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        guard !head.isKeepAlive else { return }
        // Close only after the write. An earlier close would drop bytes that the socket has not accepted yet.
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        written.whenComplete { _ in bound.value.close(promise: nil) }
    }
}
