import ContentStore
import Logging
import NIOPosix
import Registry
import ServiceLifecycle
import Streaming

/// What lies below everything else: first in the group, so taken down last. Ends the fetching, then makes durable what has
/// been fetched.
struct StoreService: Service {
    let store: ContentStore
    let engine: StreamingEngine
    let registry: RegistryClient
    let workers: NIOThreadPool
    let logger: Logger

    func run() async throws {
        try? await gracefulShutdown()
        // A task of its own: it must be done even when this one has been cancelled.
        await Task { await finish() }.value
    }

    private func finish() async {
        await engine.shutdown()
        await registry.shutdown()
        do {
            try await workers.runIfActive { [store] in try store.makeAllDurable() }
        } catch {
            logger.warning("not all that was fetched is durable", metadata: ["error": "\(error)"])
        }
        try? await workers.shutdownGracefully()
    }
}
