import Base
import Concurrency
import Images
import Logging
import NodeDatabase

extension SnapshotService {
    /// Deletes what removed snapshots left: directories, and chains that nothing holds any more.
    ///
    /// One at a time, however many ask. What takes longer than the bound goes on without whoever waits for it; what
    /// cannot be deleted now is tried again the next time.
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
            logger.error("cleaning up failed", metadata: ["error": "\(error)"])
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
                "a removed snapshot's directory cannot be deleted yet",
                metadata: ["directory": "\(directories.directory(id))", "error": "\(error)"])
            return false
        }
    }

    private func forget(_ chainID: Digest) async throws {
        guard try await quick.run({ [records] in try records.take(chain: chainID) }) else { return }
        // A layer that is being prepared again right now will hold it.
        guard !preparations.isRunning({ $0.chainID == chainID }) else { return }
        await remote.forget(chainID: chainID)
    }
}
