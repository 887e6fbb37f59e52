import Base
import Concurrency
import Images
import Logging
import NodeDatabase

extension SnapshotService {
    /// Deletes the directories of removed snapshots, and the chains that no snapshot uses any longer.
    ///
    /// Concurrent calls share one run. After ``Limits/cleanup``, a call returns and the run continues without it. The
    /// next run retries failed deletions.
    public func cleanUp() async {
        _ = await cleanups.value(for: true, timeout: limits.cleanup) { [self] in await deleteRemoved() }
    }

    private func deleteRemoved() async {
        var failed: Set<Int64> = []
        do {
            while !Task.isCancelled {
                let known = failed
                let things = try await quick.run { [records] in try records.removed(limit: known.count + 100) }
                let directories = things.directories.filter { !known.contains($0) }
                guard !directories.isEmpty || !things.chains.isEmpty else { return }
                for id in directories where await !delete(id) { failed.insert(id) }
                for chainID in things.chains { try await forget(chainID) }
            }
        } catch {
            logger.error("cleanup failed", metadata: ["error": "\(error)"])
        }
    }

    private func delete(_ id: Int64) async -> Bool {
        do {
            try await slow.run { [records, directories] in
                try directories.remove(id)
                try records.forget(directory: id)
            }
            return true
        } catch {
            logger.warning(
                "failed to delete a removed snapshot's directory",
                metadata: ["directory": "\(directories.directory(id))", "error": "\(error)"])
            return false
        }
    }

    private func forget(_ chainID: Digest) async throws {
        guard try await quick.run({ [records] in try records.take(chain: chainID) }) else { return }
        // A layer that is being prepared will use the chain.
        guard !preparations.isRunning({ $0.chainID == chainID }) else { return }
        await remote.forget(chainID: chainID)
    }
}
