import FUSEServer
import Logging
import NIOPosix
import ServiceLifecycle

/// Owns the mount while the daemon runs, and unmounts it at the end.
final class MountService: Service {
    let mountPoint: String
    private let server: FUSEServer
    private let logger: Logger

    /// Creates the service of a started `server`.
    init(server: FUSEServer, mountPoint: String, logger: Logger) {
        self.server = server
        self.mountPoint = mountPoint
        self.logger = logger
    }

    /// True while the kernel has the mount.
    var isHealthy: Bool { server.isMounted }

    /// The number of reads that wait for chunks.
    var parkedReads: Int { server.parkedReads }

    func run() async throws {
        try? await gracefulShutdown()
        // Stopping joins threads, so it must not run on the cooperative pool. A separate task, because it must finish
        // even if this one is cancelled.
        let unmounting = Task { [server] in try? await NIOThreadPool.singleton.runIfActive { server.stop() } }
        await unmounting.value
        logger.info("unmounted", metadata: ["path": "\(mountPoint)"])
    }
}
