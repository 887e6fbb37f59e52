import HTTPAPI
public import Logging
import NIOPosix
public import ServiceLifecycle

/// The admin socket: an HTTP/1.1 server on a unix socket that only root can open. ``AdminRoutes`` defines the routes.
public final class AdminServer: Service {
    private let listener: HTTPListener

    /// Creates a server on the socket `path`. An existing socket is replaced.
    public init(path: String, routes: AdminRoutes, logger: Logger) {
        listener = HTTPListener(.unix(path), maximumBody: AdminRoutes.maximumBody, logger: logger) { request in
            // The routes may query the database, so they must not run on the cooperative pool.
            let answer = try? await NIOThreadPool.singleton.runIfActive { routes.answer(request) }
            return answer ?? .text(503, "the daemon is shutting down")
        }
    }

    public func run() async throws {
        try await listener.run()
    }
}
