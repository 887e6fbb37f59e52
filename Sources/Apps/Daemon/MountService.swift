import Base
import FUSEServer
import Logging
import NIOPosix
import ServiceLifecycle

/// Keeps the mount for as long as the daemon runs, and unmounts it at the end.
final class MountService: Service {
    let mountPoint: String
    private let server: FUSEServer
    private let logger: Logger

    /// `server` has been started.
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
        // Stopping joins threads: not on the cooperative pool. A task of its own, because it must be done even when
        // this one has been cancelled.
        let unmounting = Task { [server] in try? await NIOThreadPool.singleton.runIfActive { server.stop() } }
        await unmounting.value
        logger.info("unmounted", metadata: ["path": "\(mountPoint)"])
    }
}
