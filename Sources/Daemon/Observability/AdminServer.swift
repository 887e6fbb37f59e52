import Base
public import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
public import ServiceLifecycle

/// The admin socket: HTTP/1.1 on a unix socket that only root can open.
///
/// `GET /metrics` is the Prometheus page, `GET /healthz` answers 200 while the daemon's mount answers.
public final class AdminServer: Service {
    private let path: String
    private let page: MetricsPage
    private let isHealthy: @Sendable () -> Bool
    private let logger: Logger

    /// A server on the socket `path`, which is replaced if it is there already.
    public init(path: String, page: MetricsPage, logger: Logger, isHealthy: @escaping @Sendable () -> Bool) {
        self.path = path
        self.page = page
        self.isHealthy = isHealthy
        self.logger = logger
    }

    public func run() async throws {
        let page = page
        let isHealthy = isHealthy
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.backlog, value: 16)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(AdminHandler(page: page, isHealthy: isHealthy))
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

    private let page: MetricsPage
    private let isHealthy: @Sendable () -> Bool
    private var request: HTTPRequestHead?

    init(page: MetricsPage, isHealthy: @escaping @Sendable () -> Bool) {
        self.page = page
        self.isHealthy = isHealthy
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): request = head
        case .body: break
        case .end:
            guard let head = request else { return }
            request = nil
            let (status, type, text) = answer(head)
            var headers = HTTPHeaders()
            headers.add(name: "content-type", value: type)
            headers.add(name: "content-length", value: String(text.utf8.count))
            let response = HTTPResponseHead(version: head.version, status: status, headers: headers)
            context.write(wrapOutboundOut(.head(response)), promise: nil)
            if head.method != .HEAD {
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
            }
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            if !head.isKeepAlive { context.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func answer(_ head: HTTPRequestHead) -> (HTTPResponseStatus, String, String) {
        guard head.method == .GET || head.method == .HEAD else {
            return (.methodNotAllowed, "text/plain", "only GET is answered here\n")
        }
        switch head.uri {
        case "/metrics": return (.ok, "text/plain; version=0.0.4", page.render())
        case "/healthz":
            return isHealthy() ? (.ok, "text/plain", "ok\n") : (.serviceUnavailable, "text/plain", "not mounted\n")
        default: return (.notFound, "text/plain", "try /metrics or /healthz\n")
        }
    }
}
