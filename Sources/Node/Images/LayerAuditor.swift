import Artifacts
import Base
import Concurrency
import ContentStore
import Logging
import NIOPosix
import Registry

/// The auditor of complete layers. It compares one layer at a time with the manifest and the configuration of the
/// layer's image. If the layer differs from them, the auditor marks the layer as refused, and the node no longer uses
/// the layer.
final class LayerAuditor: Sendable {
    private let store: ContentStore
    private let workers: NIOThreadPool
    private let auditing: LayerAudit
    private let logger: Logger
    private let turn = AsyncSemaphore(1)
    private let underWay = Guarded<Set<LayerKey>>([])

    init(registry: RegistryClient, store: ContentStore, workers: NIOThreadPool, logger: Logger) {
        self.store = store
        self.workers = workers
        self.logger = logger
        auditing = LayerAudit(registry: registry, workers: workers, logger: logger)
    }

    /// Begins an audit of the layer if the layer is complete, its index came from a streaming artifact, and it has not
    /// been audited yet.
    func audit(_ content: StoredLayer) {
        guard content.isComplete, underWay.withLock({ $0.insert(content.key).inserted }) else { return }
        Task {
            do {
                try await turn.withPermit { try await look(content) }
            } catch {
                logger.warning(
                    "failed to audit a layer: retrying when its image is mounted again",
                    metadata: ["layer": "\(content.digest)", "error": "\(error)"])
            }
            underWay.withLock { _ = $0.remove(content.key) }
        }
    }

    private func look(_ content: StoredLayer) async throws {
        guard let bytes = try await workers.runIfActive({ [store] in try store.origin(of: content) }),
            let origin = LayerOrigin(bytes)
        else { return }
        let finding = try await auditing.finding(content, origin)
        if let finding {
            logger.critical(
                "layer differs from its image and is refused from now on: stop the containers that run from it",
                metadata: [
                    "layer": "\(content.digest)", "image": "\(origin.repository)@\(origin.manifest)",
                    "finding": "\(finding)",
                ])
            try await workers.runIfActive { [store] in try store.refuse(content.key) }
        } else {
            logger.info("layer audited", metadata: ["layer": "\(content.digest)"])
            try await workers.runIfActive { [store] in try store.settleOrigin(of: content) }
        }
    }
}
