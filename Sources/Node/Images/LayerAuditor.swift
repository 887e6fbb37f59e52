import Artifacts
import Base
import Concurrency
import ContentStore
import Logging
import NIOPosix
import Registry

/// Has layers audited when they are complete, one after the other, and refuses those that are not what their image says.
final class LayerAuditor: Sendable {
    private let store: ContentStore
    private let workers: NIOThreadPool
    private let auditing: LayerAudit
    private let logger: Logger
    private let turn = AsyncSemaphore(1)
    private let underWay = Guarded<Set<Digest>>([])

    init(registry: RegistryClient, store: ContentStore, workers: NIOThreadPool, logger: Logger) {
        self.store = store
        self.workers = workers
        self.logger = logger
        auditing = LayerAudit(registry: registry, workers: workers, logger: logger)
    }

    /// Begins to audit the layer, if it is complete, came from a streaming artifact, and has not been audited.
    func audit(_ content: StoredLayer) {
        guard content.isComplete, underWay.withLock({ $0.insert(content.digest).inserted }) else { return }
        Task {
            do {
                try await turn.withPermit { try await look(content) }
            } catch {
                logger.warning(
                    "a layer could not be audited; it is tried again when its image is mounted again",
                    metadata: ["layer": "\(content.digest)", "error": "\(error)"])
            }
            underWay.withLock { _ = $0.remove(content.digest) }
        }
    }

    private func look(_ content: StoredLayer) async throws {
        guard let bytes = try await workers.runIfActive({ [store] in try store.origin(of: content) }),
            let origin = LayerOrigin(bytes)
        else { return }
        let finding = try await auditing.finding(content, origin)
        if let finding {
            logger.critical(
                "a layer is not what its image says: it is refused from now on; containers that run from it should be ended",
                metadata: [
                    "layer": "\(content.digest)", "image": "\(origin.repository)@\(origin.manifest)",
                    "finding": "\(finding)",
                ])
            try await workers.runIfActive { [store] in try store.refuse(content.digest) }
        } else {
            logger.info("layer is audited", metadata: ["layer": "\(content.digest)"])
            try await workers.runIfActive { [store] in try store.settleOrigin(of: content) }
        }
    }
}
