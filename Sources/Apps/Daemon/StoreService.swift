import ContentStore
import Logging
import NIOPosix
import Registry
import ServiceLifecycle
import Streaming

/// The service below all others: first in the group, so it stops last. It ends all fetching, then makes the fetched
/// content durable.
struct StoreService: Service {
    let store: ContentStore
    let engine: StreamingEngine
    let registry: RegistryClient
    let workers: NIOThreadPool
    let logger: Logger

    func run() async throws {
        try? await gracefulShutdown()
        // A separate task: it must finish even if this one is cancelled.
        await Task { await finish() }.value
    }

    private func finish() async {
        await engine.shutdown()
        await registry.shutdown()
        do {
            try await workers.runIfActive { [store] in try store.makeAllDurable() }
        } catch {
            logger.warning("failed to flush fetched content to disk", metadata: ["error": "\(error)"])
        }
        try? await workers.shutdownGracefully()
    }
}
