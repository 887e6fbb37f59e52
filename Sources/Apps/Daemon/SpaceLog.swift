import Base
import ContentStore
import Logging

/// The log of what happens to the store's space: when background fill stops and goes on, and evictions.
final class SpaceLog: Sendable {
    private struct State {
        var isFillAllowed = true
        var evictedBytes: UInt64 = 0
        var evictionLogged: MonotonicTime?
    }

    /// The least time between two messages about evictions, in nanoseconds.
    private static let evictionInterval: UInt64 = 60_000_000_000

    private let limits: SpaceLimits
    private let root: String
    private let logger: Logger
    private let state = Guarded(State())

    init(limits: SpaceLimits, root: String, logger: Logger) {
        self.limits = limits
        self.root = root
        self.logger = logger
    }

    /// Logs the changes since the last call.
    func note(_ space: ContentStore.SpaceState, now: MonotonicTime = .now()) {
        let (changesFill, evicted) = state.withLock { state -> (Bool, UInt64) in
            defer { state.isFillAllowed = space.isFillAllowed }
            state.evictedBytes += space.evictedBytes
            let isQuiet = state.evictionLogged.map { now.since($0) < Self.evictionInterval } ?? false
            guard state.evictedBytes > 0, !isQuiet else { return (state.isFillAllowed != space.isFillAllowed, 0) }
            defer { state.evictedBytes = 0 }
            state.evictionLogged = now
            return (state.isFillAllowed != space.isFillAllowed, state.evictedBytes)
        }
        let metadata: Logger.Metadata = [
            "root": "\(root)", "disk_used_percent": "\(space.measurement.usedPercent)",
            "cache_bytes": "\(space.measurement.cache)", "quota": "\(limits.quota.map(String.init) ?? "none")",
        ]
        if changesFill {
            logger.notice(
                space.isFillAllowed
                    ? "background fill goes on: there is room again"
                    : "background fill stopped: the disk or the quota is too full; images are fetched as they are read",
                metadata: metadata)
        }
        if evicted > 0 {
            logger.info("chunks evicted", metadata: metadata.merging(["bytes": "\(evicted)"]) { $1 })
        }
    }
}
