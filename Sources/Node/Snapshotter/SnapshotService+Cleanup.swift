import Concurrency
import ContentStore
import Images
import Logging
import NodeDatabase

extension SnapshotService {
    /// Deletes the directories of removed snapshots, and the chains and layers that no snapshot uses any longer.
    ///
    /// Concurrent calls share one run. A call returns after ``Limits/cleanup`` at the latest. If the run takes longer,
    /// it continues in the background. The next run retries failed deletions.
    public func cleanUp() async {
        _ = await cleanups.value(for: true, timeout: limits.cleanup) { [self] in await deleteUnused() }
    }

    private func deleteUnused() async {
        await deleteRemoved()
        // A layer that is being prepared has no snapshot yet.
        if !preparations.isRunning({ _ in true }) { await remote.sweep() }
    }

    private func deleteRemoved() async {
        var failed: Set<Int64> = []
        var kept: Set<ChainKey> = []
        do {
            while !Task.isCancelled {
                let skipped = max(failed.count, kept.count)
                let things = try await quick.run { [records] in try records.removed(limit: skipped + 100) }
                let directories = things.directories.filter { !failed.contains($0) }
                let chains = things.chains.filter { !kept.contains($0) }
                guard !directories.isEmpty || !chains.isEmpty else { return }
                for id in directories where await !delete(id) { failed.insert(id) }
                for chain in chains where try await !delete(chain) { kept.insert(chain) }
            }
        } catch {
            logger.error("cleanup failed", metadata: ["error": "\(error)"])
        }
    }

    /// Deletes a chain of a removed snapshot, unless another snapshot still uses the chain. Returns false if the next
    /// run of the cleanup has to try again.
    private func delete(_ chain: ChainKey) async throws -> Bool {
        // A layer that is being prepared may be about to use the chain.
        guard !preparations.isRunning({ _ in true }) else { return false }
        if try await !quick.run({ [records] in try records.holds(chain: chain) }) {
            guard await remote.forget(chain) else { return false }
        }
        try await quick.run { [records] in try records.forget(chain: chain) }
        return true
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
}
