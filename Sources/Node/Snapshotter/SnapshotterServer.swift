public import Base
import ContainerRuntime
import GRPCCore
import GRPCNIOTransportHTTP2
import Glibc
public import Logging
public import ServiceLifecycle

/// A server that serves a ``SnapshotService`` on a unix socket.
///
/// The socket listens as soon as the server is created. So containerd's calls wait in the kernel while the daemon
/// starts, and do not fail. ``run()`` serves the calls until cancellation or graceful shutdown, and then shuts down the
/// service.
public final class SnapshotterServer: Service {
    /// The socket to serve on.
    public enum Socket: Sendable {
        /// The path of a socket that the server creates with mode 0600. The server creates missing directories of the
        /// path with mode 0700.
        case path(String)
        /// The descriptor of a listening unix socket that systemd opened (socket activation). The server takes
        /// ownership.
        case inherited(Int32)
    }

    /// The maximum size of a request in bytes. containerd neither sends nor accepts a larger message.
    static let largestMessage = 16 << 20

    /// The time between two periodic cleanups. containerd requests further cleanups after its garbage collections.
    private static let cleaningPeriod = Duration.seconds(3600)

    private let service: SnapshotService
    private let logger: Logger
    private let grace: Duration
    private let listener: UnixListener?
    private let descriptor: Int32

    /// Opens the socket. During a graceful shutdown, running requests have the time `grace` to finish. Then the server
    /// cancels them.
    public init(
        _ service: SnapshotService, socket: Socket, grace: Duration = .seconds(5), logger: Logger
    ) throws(SnapshotterError) {
        self.service = service
        self.logger = logger
        self.grace = grace
        switch socket {
        case .path(let path):
            let listener = try UnixListener(path: path)
            guard let taken = listener.takeDescriptor() else {
                throw SnapshotterError(.storage, "listening on \(path): no descriptor")
            }
            descriptor = taken
            self.listener = listener
        case .inherited(let inherited):
            guard UnixListener.isListener(inherited) else {
                throw SnapshotterError(
                    .invalidArgument, "descriptor \(inherited) is not a listening unix stream socket")
            }
            descriptor = inherited
            listener = nil
        }
    }

    /// Serves the socket until shutdown. Call this function only once.
    public func run() async throws {
        let outcome: Result<Void, any Error>
        do {
            try await service.recover()
            outcome = .success(try await serve())
        } catch {
            outcome = .failure(error)
        }
        listener?.unlinkPath()
        // The unstructured task closes the database even if this task was canceled.
        try await Task { [service] in try await service.shutDown() }.value
        try outcome.get()
    }

    private func serve() async throws {
        let transport = HTTP2ServerTransport.Posix(
            listeningSocketDescriptor: Int(descriptor), transportSecurity: .plaintext,
            config: .defaults {
                $0.rpc.maxRequestPayloadSize = Self.largestMessage
                $0.http2.maxConcurrentStreams = 1000
                $0.channelDebuggingCallbacks = .containerRuntime
            })
        let server = GRPCServer(transport: transport, services: [service])
        let serving = Task { try await server.serve() }
        let cleaning = Task { [service] in
            repeat { await service.cleanUp() } while (try? await Task.sleep(for: Self.cleaningPeriod)) != nil
        }
        defer { cleaning.cancel() }
        let stopping = Guarded(false)
        let deadline = Guarded<Task<Void, Never>?>(nil)
        defer { deadline.withLock { $0 }?.cancel() }
        do {
            try await withTaskCancellationHandler {
                try await withGracefulShutdownHandler {
                    try await serving.value
                } onGracefulShutdown: { [grace, logger] in
                    stopping.withLock { $0 = true }
                    server.beginGracefulShutdown()
                    let timer = Task {
                        guard (try? await Task.sleep(for: grace)) != nil else { return }
                        logger.warning("shutdown grace over: cancelling requests")
                        serving.cancel()
                    }
                    deadline.withLock { $0 = timer }
                }
            } onCancel: {
                serving.cancel()
            }
        } catch  where serving.isCancelled || stopping.withLock({ $0 }) {
            // The transport throws when it is told to stop, even before it has begun.
        }
    }
}
