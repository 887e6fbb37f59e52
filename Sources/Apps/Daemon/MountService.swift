import Base
import FUSEServer
import Logging
import NIOPosix
import ServiceLifecycle

/// The service that keeps the FUSE mount while the daemon runs, and unmounts it when the daemon stops.
final class MountService: Service {
    let mountPoint: String
    private let server: FUSEServer
    private let logger: Logger

    /// Creates the service. The caller has already started `server`.
    init(server: FUSEServer, mountPoint: String, logger: Logger) {
        self.server = server
        self.mountPoint = mountPoint
        self.logger = logger
    }

    /// True while the kernel has the mount.
    var isHealthy: Bool { server.isMounted }

    /// The mount's metrics.
    var metrics: [MetricFamily] { server.metrics }

    func run() async throws {
        try? await gracefulShutdown()
        // Stopping joins threads, so it must not run on the cooperative pool. The unstructured task finishes even if
        // this task was canceled.
        let unmounting = Task { [server] in try? await NIOThreadPool.singleton.runIfActive { server.stop() } }
        await unmounting.value
        logger.info("unmounted", metadata: ["path": "\(mountPoint)"])
    }
}
