import ContentStore
import NIOPosix
import ServiceLifecycle

/// The service that stops the keeper of the store's space.
struct SpaceService: Service {
    let keeper: SpaceKeeper
    let workers: NIOThreadPool

    func run() async throws {
        try? await gracefulShutdown()
        // The unstructured task finishes even if this task is canceled.
        await Task { [keeper, workers] in try? await workers.runIfActive { keeper.close() } }.value
    }
}
