import Base
import Concurrency
import ContentStore
import Images
import Logging
import NodeDatabase

extension SnapshotService {
    /// Deletes the directories of removed snapshots, and the chains and layers that no snapshot uses any longer.
    ///
    /// Concurrent calls share one run. A call returns after ``Limits/cleanup`` at the latest. If the run takes longer,
    /// it continues in the background. If something could not be deleted, the service tries again after
    /// ``Limits/cleanupRetry``.
    public func cleanUp() async {
        _ = await cleanups.value(for: true, timeout: limits.cleanup) { [self] in
            if await !deleteUnused() { retryLater() }
        }
    }

    /// Schedules one further cleanup, unless one is scheduled.
    ///
    /// containerd calls `Cleanup` right after it has removed an image, and then perhaps never again. But an image that
    /// was pulled shortly before keeps its layers in use.
    private func retryLater() {
        retry.withLock { retry in
            guard retry == nil else { return }
            retry = Task { [weak self, clock, pause = limits.cleanupRetry] in
                guard (try? await clock.sleep(for: pause)) != nil, let self else { return }
                self.retry.withLock { $0 = nil }
                await cleanUp()
            }
        }
    }

    /// Returns false if something could not be deleted yet.
    private func deleteUnused() async -> Bool {
        let isDone = await deleteRemoved()
        // A layer that is being prepared has no snapshot yet.
        guard !preparations.isRunning({ _ in true }) else { return false }
        return await remote.sweep() && isDone
    }

    private func deleteRemoved() async -> Bool {
        var failed: Set<Int64> = []
        var kept: Set<ChainKey> = []
        do {
            while !Task.isCancelled {
                let skipped = max(failed.count, kept.count)
                let things = try await quick.run { [records] in try records.removed(limit: skipped + 100) }
                let directories = things.directories.filter { !failed.contains($0) }
                let chains = things.chains.filter { !kept.contains($0) }
                guard !directories.isEmpty || !chains.isEmpty else { return failed.isEmpty && kept.isEmpty }
                for id in directories where await !delete(id) { failed.insert(id) }
                for chain in chains where try await !delete(chain) { kept.insert(chain) }
            }
        } catch {
            logger.error("cleanup failed", metadata: ["error": "\(error)"])
        }
        return false
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
