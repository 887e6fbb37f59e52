import Base
import Registry

extension StreamingEngine {
    /// What `open` gives; for a request that is late, what a second one gives, if that is sooner. The one that is not needed ends.
    func hedged(
        _ open: @escaping @Sendable () async -> Result<BlobStream, RegistryError>
    ) async throws(RegistryError) -> BlobStream {
        let patience = hedging.withLock { hedging -> UInt64? in
            hedging.asked()
            return hedging.patience
        }
        let timed: @Sendable () async -> Result<BlobStream, RegistryError>? = { [self] in
            let begun = MonotonicTime.now()
            let result = await open()
            if case .success = result { hedging.withLock { $0.answered(after: MonotonicTime.now().since(begun)) } }
            return result
        }
        guard let patience else { return try await Self.unwrapped(timed()).get() }
        let result = await withTaskGroup(of: Result<BlobStream, RegistryError>?.self) { group in
            group.addTask { await timed() }
            group.addTask {
                try? await Task.sleep(nanoseconds: patience)
                return nil
            }
            var running = 1
            var last: Result<BlobStream, RegistryError>?
            while running > 0, let next = await group.next() {
                guard let result = next else {
                    // Late. What was answered meanwhile has left the loop.
                    guard !Task.isCancelled, hedging.withLock({ $0.mayRepeat() }) else { continue }
                    counters.hedged.add()
                    running += 1
                    group.addTask { await timed() }
                    continue
                }
                running -= 1
                last = result
                if case .success = result { break }
            }
            group.cancelAll()
            return last
        }
        return try Self.unwrapped(result).get()
    }

    private static func unwrapped(
        _ result: Result<BlobStream, RegistryError>?
    ) -> Result<BlobStream, RegistryError> {
        result ?? .failure(RegistryError(.cancelled, "the request was cancelled"))
    }
}
