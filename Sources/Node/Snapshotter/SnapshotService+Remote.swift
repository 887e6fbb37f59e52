import Base
import Concurrency
import Images
import Logging
import NodeDatabase

/// The key of a preparation. Requests with the same key share one preparation of a remote layer.
struct PreparationKey: Hashable, Sendable {
    /// The key of the parent snapshot.
    var parent: String
    var chainID: Digest
    // Images with other layers may state the same chain ID.
    var image: String
    var manifest: Digest?
    var layer: Digest
}

/// The outcome of the preparation of a remote layer. Preparation makes the layer usable before its content is
/// downloaded.
enum Preparation: Sendable {
    /// The layer is usable, and the database has a record of its remote snapshot.
    case recorded
    case declined(FallbackReason)
}

/// The decision on a `Prepare` call with a ``RemoteTarget``.
enum RemoteAnswer: Sendable {
    /// A usable snapshot of the target's chain exists, or was just created.
    case exists
    /// The requested remote layer cannot be streamed, so containerd downloads it.
    case fallback(FallbackReason)
    /// The labels do not name a remote layer, so the service creates an ordinary snapshot.
    case ordinary
}

extension SnapshotService {
    /// Finds or creates the committed snapshot of `target` on top of the snapshot with the key `parent`; an empty key
    /// means no parent.
    ///
    /// - Throws: an error if the parent is missing or uncommitted, if the database fails, or if the call is canceled.
    ///   Any failure to prepare the layer is a ``RemoteAnswer/fallback(_:)`` instead.
    func takeRemote(_ target: RemoteTarget, parent: String) async throws -> RemoteAnswer {
        let (below, present) = try await quick.run { [records] in
            let below = try records.parent(key: parent)
            return (below, try records.committed(ref: target.chainID.description, parent: below?.id))
        }
        // A layer that containerd has unpacked here. Its chain ID is true, because containerd has checked it.
        if let present, present.remote == nil, await isUsable(present) { return .exists }

        let request: RemoteLayerRequest
        do {
            guard let wanted = try target.request(parent: below?.remote?.chain) else { return .ordinary }
            request = wanted
        } catch {
            return .fallback(error.reason)
        }
        guard below == nil || below?.remote != nil else {
            return .fallback(FallbackReason(.parentNotRemote, "the layer below was downloaded"))
        }
        let key = PreparationKey(
            parent: parent, chainID: target.chainID, image: request.imageReference, manifest: request.manifestDigest,
            layer: request.layerDigest)
        let outcome = await preparations.value(for: key, timeout: limits.prepare) { [self] in
            await prepareAndRecord(request, parent: parent)
        }
        switch outcome {
        case .value(.recorded): return .exists
        case .value(.declined(let reason)):
            if let present, present.remote != nil, await !isUsable(present) { try await discard(present) }
            return .fallback(reason)
        case .timedOut: return .fallback(FallbackReason(.timeout, "not ready after \(limits.prepare)"))
        case .cancelled: throw CancellationError()
        case .full: return .fallback(FallbackReason(.busy, "\(limits.layersInPreparation) layers are being prepared"))
        }
    }

    /// Returns true if the snapshot of `record` can be the parent of new snapshots. A local snapshot can if its
    /// directory exists; a remote snapshot can if its chain can be opened.
    private func isUsable(_ record: SnapshotRecord) async -> Bool {
        guard let remote = record.remote else {
            let directory = directories.upper(record.id)
            return (try? await quick.run { try DirectoryUsage.isDirectory(directory) }) ?? false
        }
        return await self.remote.isUsable(remote.chain)
    }

    /// The maximum number of attempts to record a layer whose chain Cleanup deletes before the snapshot stands on it.
    private static let recordingAttempts = 5

    private func prepareAndRecord(_ request: RemoteLayerRequest, parent: String) async -> Preparation {
        for _ in 1..<Self.recordingAttempts {
            if let preparation = await tryToRecord(request, parent: parent) { return preparation }
        }
        return await tryToRecord(request, parent: parent)
            ?? .declined(FallbackReason(.storage, "the chain was deleted meanwhile"))
    }

    /// Prepares a layer and records its snapshot. Returns `nil` if Cleanup deleted the chain meanwhile.
    private func tryToRecord(_ request: RemoteLayerRequest, parent: String) async -> Preparation? {
        switch await remote.prepareLayer(request) {
        case .declined(let reason): return .declined(reason)
        case .ready(let identity, let size, let inodes):
            do {
                let record = try await quick.run { [records] in
                    try records.createRemote(
                        identity, parent: parent, labels: SnapshotLabels.stored(request.labels),
                        usage: SnapshotUsage(size: Int64(clamping: size), inodes: Int64(clamping: inodes)))
                }
                if await isUsable(record) { return .recorded }
                try await discard(record)
                return nil
            } catch {
                logger.error(
                    "failed to record a remote layer",
                    metadata: ["chain": "\(request.chainID)", "error": "\(error)"])
                _ = await remote.forget(identity.chain)
                return .declined(FallbackReason(.storage, "the snapshot could not be recorded"))
            }
        }
    }

    /// Removes the record of a remote snapshot whose layers can no longer be opened.
    ///
    /// Keeps the record if the snapshot has children, because the parent of a snapshot cannot be replaced. The chain of
    /// the kept snapshot may become usable again later.
    private func discard(_ record: SnapshotRecord) async throws {
        let isGone = try await quick.run { [records] in try records.removeRemoteIfUnused(id: record.id) }
        logger.warning(
            "remote snapshot lost: its layers cannot be opened again",
            metadata: ["snapshot": "\(record.key)", "removed": "\(isGone)"])
    }
}
