import Base
public import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
public import ServiceLifecycle

/// The admin socket: HTTP/1.1 on a unix socket that only root can open. ``AdminRoutes`` says what it answers.
public final class AdminServer: Service {
    private let path: String
    private let routes: AdminRoutes
    private let logger: Logger

    /// A server on the socket `path`, which is replaced if it is there already.
    public init(path: String, routes: AdminRoutes, logger: Logger) {
        self.path = path
        self.routes = routes
        self.logger = logger
    }

    public func run() async throws {
        let routes = routes
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.backlog, value: 16)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(AdminHandler(routes))
                }
            }
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true)
            .get()
        logger.info("admin socket listens", metadata: ["address": "\(path)"])
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

/// Answers one request after the other on one connection.
private final class AdminHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let routes: AdminRoutes
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var isTooLarge = false

    init(_ routes: AdminRoutes) {
        self.routes = routes
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
            isTooLarge = false
        case .body(let buffer):
            isTooLarge = isTooLarge || body.count + buffer.readableBytes > AdminRoutes.maximumBody
            if !isTooLarge { body += Array(buffer.readableBytesView) }
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    /// The routes may look into the database: never on the event loop.
    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let (routes, body, isTooLarge) = (routes, body, isTooLarge)
        self.body = []
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        NIOThreadPool.singleton.runIfActive(eventLoop: context.eventLoop) {
            isTooLarge
                ? .text(413, "larger than \(AdminRoutes.maximumBody) bytes")
                : routes.answer(head.method.rawValue, head.uri, body)
        }.whenComplete { (result: Result<AdminAnswer, any Error>) in
            let (handler, context) = bound.value
            switch result {
            case .success(let answer): handler.write(answer, to: head, context)
            case .failure: context.close(promise: nil)
            }
        }
    }

    private func write(_ answer: AdminAnswer, to head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let headers: HTTPHeaders = ["content-type": answer.type, "content-length": String(answer.body.count)]
        let status = HTTPResponseStatus(statusCode: answer.status)
        let response = HTTPResponseHead(version: head.version, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        }
        let written = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        guard !head.isKeepAlive else { return }
        // Not before: what the socket has not taken yet would be dropped.
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        written.whenComplete { _ in bound.value.close(promise: nil) }
    }
}
