import Base
import Concurrency
import ContentStore
import LayerIndex
import LazyFileSystem
import Linux
import Logging
import NIOPosix
import NodeDatabase
import Prediction
import Registry
import Streaming

/// Brings chains up in the file system and takes them down: records, trees, the merge, the transfer engine.
///
/// A chain is brought up once however many callers ask at the same time, and stays up until it is forgotten.
final class ChainMounts: Sendable {
    private struct State {
        /// Chains that are up or on their way up.
        var bringing: [Digest: Task<Void, any Error>] = [:]
    }

    private let state = Guarded(State())
    private let records: ChainRecords
    private let store: ContentStore
    private let fileSystem: LazyFileSystem
    private let engine: StreamingEngine
    private let profiles: ProfileKeeper
    private let workers: NIOThreadPool
    private let building: AsyncSemaphore
    private let mountPoint: String
    private let auditor: LayerAuditor?
    private let predictor: Predictor?
    private let fillsInBackground: Bool
    private let logger: Logger

    init(
        records: ChainRecords, store: ContentStore, fileSystem: LazyFileSystem, engine: StreamingEngine,
        profiles: ProfileKeeper, workers: NIOThreadPool, building: AsyncSemaphore, mountPoint: String,
        auditor: LayerAuditor?, predictor: Predictor?, fillsInBackground: Bool, logger: Logger
    ) {
        self.records = records
        self.store = store
        self.fileSystem = fileSystem
        self.engine = engine
        self.profiles = profiles
        self.workers = workers
        self.building = building
        self.mountPoint = mountPoint
        self.auditor = auditor
        self.predictor = predictor
        self.fillsInBackground = fillsInBackground
        self.logger = logger
    }

    /// Records that `chain` is `layer` on `parent`.
    ///
    /// - Throws: a ``FallbackReason`` when the chain is known to be something else: a chain ID is what the author of an image
    ///   claims, and the first claim must not be replaced under containers that run from it.
    func record(_ chain: Digest, parent: Digest?, layer: RemoteLayer) async throws(FallbackReason) {
        let agrees: Bool
        do {
            agrees = try await workers.runIfActive { [records] in
                try records.add(chain, parent: parent, layer: layer)
            }
        } catch {
            throw FallbackReason(.storage, "chain \(chain): \(error)")
        }
        guard agrees else {
            throw FallbackReason(.imageMismatch, "chain \(chain) is known to consist of other layers")
        }
    }

    /// The registries that layers here are from, at most `limit`, those of the latest first.
    func upstreams(limit: Int) async -> [String] {
        (try? await workers.runIfActive { [records] in try records.upstreams(limit: limit) }) ?? []
    }

    /// Whether everything that ``bringUp(_:)`` needs is on this node.
    func isUsable(_ chain: Digest) async -> Bool {
        let found = try? await workers.runIfActive { [records, store] in
            guard let (_, layers) = try records.find(chain) else { return false }
            return try layers.allSatisfy { try !store.isRefused($0.digest) && store.layer($0.digest) != nil }
        }
        return found ?? false
    }

    /// The host path of the merged tree of `chain`, which answers once this has returned.
    func bringUp(_ chain: Digest) async throws -> String {
        let task = state.withLock { state -> Task<Void, any Error> in
            if let task = state.bringing[chain] { return task }
            let task = Task { try await self.add(chain) }
            state.bringing[chain] = task
            return task
        }
        do {
            try await task.value
        } catch {
            // A later call tries again.
            state.withLock { if $0.bringing[chain] == task { $0.bringing[chain] = nil } }
            throw error
        }
        return "\(mountPoint)/\(chain.hex)"
    }

    /// Takes `chain` down and deletes what no other chain needs.
    func forget(_ chain: Digest) async {
        let task = state.withLock { $0.bringing.removeValue(forKey: chain) }
        _ = try? await task?.value
        profiles.end(chain)
        predictor?.end(.chain(chain))
        fileSystem.removeChain(chain)
        do {
            try await workers.runIfActive { [records, store, engine] in
                let orphan = try records.remove(chain)
                try store.removeChain(chain)
                if let orphan {
                    if let content = try store.layer(orphan) { engine.detach(content) }
                    try store.removeLayer(orphan)
                }
            }
        } catch {
            logger.warning("cannot delete all of a chain", metadata: ["chain": "\(chain)", "error": "\(error)"])
        }
    }

    // MARK: -

    private func add(_ chain: Digest) async throws {
        let contents = try await building.withPermit { [self] in
            try await workers.runIfActive { [self] in try addBlocking(chain) }
        }
        if fillsInBackground { engine.fill(contents) }
        if let auditor { contents.forEach(auditor.audit) }
    }

    /// What ``add(_:)`` does on a worker thread.
    private func addBlocking(_ chain: Digest) throws -> [StoredLayer] {
        guard let (slot, layers) = try records.find(chain) else {
            throw FallbackReason(.mount, "chain \(chain) is not known on this node")
        }
        let contents = try layers.map { layer throws -> StoredLayer in
            try LayerFetcher.checkNotRefused(layer.digest, store)
            guard let content = try store.layer(layer.digest) else {
                throw FallbackReason(.storage, "the index of layer \(layer.digest) is gone from the store")
            }
            engine.attach(content, locations: [BlobLocation(repository: layer.repository, digest: layer.digest)])
            return content
        }
        let tree = try tree(of: chain, contents)
        try fileSystem.addChain(chain, tree: tree, layers: contents, slot: slot)
        if let top = layers.last, let touches = fileSystem.touches(ofChain: chain) {
            let isKnown = profiles.begin(
                ProfileKeeper.Subject(
                    chain: chain, repository: top.repository, tree: tree, layers: contents, touches: touches))
            if !isKnown {
                let subject = PredictionSubject(layers: contents) { [store] in try store.openTree(ofChain: chain) }
                predictor?.follow(.chain(chain), subject, touches: touches, engine: engine)
            }
        }
        logger.info("chain is mounted", metadata: ["chain": "\(chain)", "layers": "\(contents.count)"])
        return contents
    }

    private func tree(of chain: Digest, _ contents: [StoredLayer]) throws -> TreeImage {
        let digests = contents.map(\.digest)
        if let tree = try store.chain(chain) {
            if tree.deviceTags == digests { return tree }
            // Left from a chain of that name that was forgotten halfway.
            try store.removeChain(chain)
        }
        defer { Sys.releaseFreedMemory() }
        let merged = try ChainMerger.merge(contents.map { ($0.tree, $0.digest) })
        return try store.installChain(chain, tree: merged)
    }
}
