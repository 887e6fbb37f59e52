import ContentStore
import Logging
import NIOPosix
import Registry
import ServiceLifecycle
import Streaming

/// The service that starts first and stops last. When it stops, it ends all fetching, and then flushes the fetched
/// content to disk.
struct StoreService: Service {
    let store: ContentStore
    let engine: StreamingEngine
    let registry: RegistryClient
    /// The thread pools to shut down.
    let pools: [NIOThreadPool]
    let logger: Logger

    func run() async throws {
        try? await gracefulShutdown()
        // The unstructured task finishes even if this task is canceled.
        await Task { await finish() }.value
    }

    private func finish() async {
        await engine.shutdown()
        await registry.shutdown()
        do {
            try await pools.last?.runIfActive { [store] in try store.makeAllDurable() }
        } catch {
            logger.warning("failed to flush fetched content to disk", metadata: ["error": "\(error)"])
        }
        for pool in pools { try? await pool.shutdownGracefully() }
    }
}
