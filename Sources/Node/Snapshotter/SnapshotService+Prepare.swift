import Base
public import ContainerdAPI
import ContentStore
public import GRPCCore
import Images
import Logging
import NodeDatabase
import SwiftProtobuf

extension SnapshotService {
    public func prepare(
        request: Containerd_Services_Snapshots_V1_PrepareSnapshotRequest, context: ServerContext
    ) async throws -> Containerd_Services_Snapshots_V1_PrepareSnapshotResponse {
        try await answer("Prepare", waiting: limits.prepare) { [self] in
            try SnapshotLabels.check(key: request.key)
            try SnapshotLabels.check(request.labels)
            if let target = RemoteTarget(key: request.key, labels: request.labels) {
                switch try await takeRemote(target, parent: request.parent) {
                case .exists:
                    throw SnapshotterError(.alreadyExists, "target snapshot \(target.chainID): already exists")
                case .fallback(let reason):
                    fallbacks.count(reason.code)
                    logger.notice(
                        "containerd downloads this layer: it cannot be streamed",
                        metadata: [
                            "image": "\(request.labels[RemoteLabels.imageReference] ?? "")",
                            "layer": "\(request.labels[RemoteLabels.layerDigest] ?? "")",
                            "chain": "\(target.chainID)", "reason": "\(reason.code.rawValue)",
                            "detail": "\(reason.detail)",
                        ])
                case .ordinary: break
                }
            } else if !RemoteTarget.isExtraction(request.key) {
                // kubelet creates a pod's sandbox before it pulls the pod's images.
                remote.expectImages()
            }
            let plan = try await create(request.key, on: request.parent, as: .active, labels: request.labels)
            return .with { $0.mounts = plan.mounts }
        }
    }

    public func view(
        request: Containerd_Services_Snapshots_V1_ViewSnapshotRequest, context: ServerContext
    ) async throws -> Containerd_Services_Snapshots_V1_ViewSnapshotResponse {
        try await answer("View") { [self] in
            try SnapshotLabels.check(key: request.key)
            try SnapshotLabels.check(request.labels)
            let plan = try await create(request.key, on: request.parent, as: .view, labels: request.labels)
            return .with { $0.mounts = plan.mounts }
        }
    }

    // MARK: - Ordinary snapshots

    /// Creates a local snapshot and its directories, and returns its mounts. `parent` is the key of the parent
    /// snapshot; empty for no parent.
    private func create(
        _ key: String, on parent: String, as kind: SnapshotRecord.Kind, labels: [String: String]
    ) async throws -> MountPlan {
        guard let base = try await quick.run({ [records] in try records.base(key: parent) }) else {
            return try await place(key, on: parent, as: kind, labels, [])
        }
        // A pull goes on: containerd checks what it unpacks, and only containers run from the result.
        if !RemoteTarget.isExtraction(key) { try check(key, base) }
        let entries = base.entries
        guard case .remote = entries.last, !RemoteTarget.isExtraction(key) else {
            return try await place(key, on: parent, as: kind, labels, entries)
        }
        // Nobody knows of the snapshot before this function returns, so it can be created meanwhile.
        async let admission = admit(key, on: base)
        let placed: Result<MountPlan, any Error>
        do {
            placed = .success(try await place(key, on: parent, as: kind, labels, entries))
        } catch {
            // A chain with a refused layer is not mounted, but it may be rebuilt.
            placed = .failure(error)
        }
        let rebuilt: StackEntry
        do {
            guard let chain = try await admission else { return try placed.get() }
            if case .success = placed { try await quick.run { [records] in try records.remove(key: key) } }
            rebuilt = chain
            // A local snapshot above the chain is not rebuilt with it.
            if let next = try await quick.run({ [records] in try records.base(key: parent) }) { try check(key, next) }
        } catch {
            // The caller may be gone, and this task canceled.
            if case .success = placed {
                await Task { [quick, records] in try? await quick.run { try records.remove(key: key) } }.value
            }
            throw error
        }
        return try await place(key, on: parent, as: kind, labels, entries.dropLast() + [rebuilt])
    }

    /// Throws if a local snapshot of the stack was made on the files of another image.
    private func check(_ key: String, _ base: SnapshotBase) throws(SnapshotterError) {
        guard let outdated = base.outdated else { return }
        // containerd made the files: an image's layer, or a copy of the image for other owners (user namespaces).
        throw SnapshotterError(
            .failedPrecondition,
            "snapshot \(key): \(outdated.key) was made on the files of another image that claimed the same chain ID: remove the containers on it and the images with this chain ID, and pull again"
        )
    }

    /// Creates a local snapshot on the stack `entries`, which begins with the snapshot `parent`.
    private func place(
        _ key: String, on parent: String, as kind: SnapshotRecord.Kind, _ labels: [String: String],
        _ entries: [StackEntry]
    ) async throws -> MountPlan {
        // Mount the merged tree below first, while there is nothing to undo.
        let lowers = try await lowerDirectories(entries)
        let record = try await quick.run { [records, directories] in
            try records.create(key: key, parent: parent, kind: kind, labels: SnapshotLabels.stored(labels)) {
                record, stack in
                // The mounts name the tree of this chain, so the chain must stay until the snapshot is removed.
                guard stack.last == entries.last else {
                    throw SnapshotterError(.unavailable, "snapshot \(key): the chain below was rebuilt meanwhile")
                }
                guard record.hasDirectory else { return }
                do {
                    try directories.make(record.id, work: kind == .active, parent: lowers.first)
                } catch {
                    // The transaction removes the record. If this deletion fails, the next start of the daemon finds
                    // the directory.
                    try? directories.remove(record.id)
                    throw error
                }
            }.record
        }
        return mountPlan(of: record, lowers: lowers)
    }

    /// Returns once the snapshot `key` may be created on `base`. Returns the new last entry of the stack if the remote
    /// part had to be rebuilt; `nil` if the stack is right.
    private func admit(_ key: String, on base: SnapshotBase) async throws -> StackEntry? {
        guard case .remote(let chain, let claim)? = base.ancestors.last?.entry else { return nil }
        let parts = key.split(separator: "/", omittingEmptySubsequences: false)
        let request = AdmissionRequest(
            chain: chain, chainID: claim, topChainIDs: Self.topChainIDs(of: base),
            namespace: parts.count >= 3 ? parts.first.map(String.init) : nil)
        let layers: [RemoteIdentity]?
        do throws(FallbackReason) {
            layers = try await remote.admit(request)
        } catch {
            throw SnapshotterError(
                error.code == .imageMismatch ? .failedPrecondition : .unavailable,
                "snapshot \(key) on chain \(claim.map { "\($0)" } ?? "\(chain)"): \(error.detail)", cause: error)
        }
        guard let layers, let top = layers.last else { return nil }
        try await quick.run { [records] in try records.replaceLayers(ofChain: chain, claim: claim, with: layers) }
        logger.critical(
            "a chain belonged to another image and was rebuilt: stop the containers that were created on it before",
            metadata: ["chain_id": "\(claim.map { "\($0)" } ?? "")", "old": "\(chain)", "new": "\(top.chain)"])
        return .remote(top.chain, claim: claim)
    }

    /// The maximum number of local snapshots whose names are taken for chain IDs.
    private static let maximumTopChainIDs = 8

    /// Returns the IDs that the chain of the image may have whose container stands on `base`.
    ///
    /// The label of an unpacked layer states its chain ID. Without labels, containerd still names a layer by its chain
    /// ID: `<namespace>/<number>/<chain ID>`. For a container with other owners, containerd copies the image into
    /// a snapshot above it, whose name may look like a chain ID. So all names down to the first label count.
    private static func topChainIDs(of base: SnapshotBase) -> [Digest] {
        var found: [Digest] = []
        for ancestor in base.ancestors.prefix(maximumTopChainIDs) {
            if case .remote = ancestor.entry { break }
            if let ref = ancestor.ref.flatMap({ Digest($0) }) { return found + [ref] }
            if let name = ancestor.key.split(separator: "/").last.flatMap({ Digest(String($0)) }) { found.append(name) }
        }
        if case .remote(_, let claim?)? = base.ancestors.last?.entry, !found.contains(claim) { found.append(claim) }
        return found
    }

    /// Returns the mounts of the existing snapshot `record`. `stack` is the stack below this snapshot, top first.
    func mountPlan(of record: SnapshotRecord, stack: [StackEntry]) async throws -> MountPlan {
        mountPlan(of: record, lowers: try await lowerDirectories(stack))
    }

    private func mountPlan(of record: SnapshotRecord, lowers: [String]) -> MountPlan {
        MountPlan(
            kind: record.kind, upper: directories.upper(record.id), work: directories.work(record.id), lowers: lowers,
            overlayOptions: overlayOptions)
    }

    /// Returns the lower directories of a stack, top first: one for each local snapshot, and then the merged tree of
    /// the remote snapshot at the bottom, if there is one.
    private func lowerDirectories(_ stack: [StackEntry]) async throws -> [String] {
        var locals: [Int64] = []
        var chain: ChainKey?
        for entry in stack {
            switch entry {
            case .local(let id): locals.append(id)
            case .remote(let found, _): chain = found
            }
        }
        let ids = locals
        var lowers = try await quick.run { [directories] in try directories.lowers(ids) }
        if let chain {
            do {
                lowers.append(try await remote.mountedDirectory(ofChain: chain))
            } catch {
                throw SnapshotterError(.unavailable, "mounting chain \(chain)", cause: error)
            }
        }
        return lowers
    }
}
