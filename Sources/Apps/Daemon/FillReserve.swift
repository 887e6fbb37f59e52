package import LazyFileSystem
import Logging
import NIOPosix
import ServiceLifecycle
import Streaming

/// The rule that stops background fill before it fills the disk.
package struct FillReserve {
    /// The share of used space, in percent, at which fill stops.
    package let limit: Int
    /// False while fill is stopped.
    package private(set) var isFillAllowed = true

    package init(limit: Int) {
        self.limit = limit
    }

    /// Allows or stops fill according to the current `capacity` of the disk. Returns true if ``isFillAllowed`` has
    /// changed.
    ///
    /// Stopped fill resumes only when the share of used space is more than two percentage points below ``limit``.
    /// Otherwise, fill would stop and resume all the time.
    package mutating func update(_ capacity: StoreCapacity) -> Bool {
        guard capacity.blocks > 0 else { return false }
        let used = capacity.usedPercent
        let before = isFillAllowed
        isFillAllowed = used < (before ? limit : max(limit - 2, 1))
        return isFillAllowed != before
    }
}

extension StoreCapacity {
    /// The share of the file system, in percent, that is used or reserved for root. kubelet computes this share in the
    /// same way.
    package var usedPercent: Int {
        guard blocks > 0 else { return 0 }
        return 100 - Int((Double(min(availableBlocks, blocks)) / Double(blocks) * 100).rounded(.down))
    }
}

/// The service that looks at the disk each second, and stops or allows background fill.
struct FillReserveService: Service {
    let engine: StreamingEngine
    let root: String
    let limit: Int
    let workers: NIOThreadPool
    let logger: Logger

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            var reserve = FillReserve(limit: limit)
            while true {
                let capacity = try await workers.runIfActive { [root] in StoreCapacity(of: root) }
                if let capacity, reserve.update(capacity) {
                    engine.allowFill(reserve.isFillAllowed)
                    logger.notice(
                        reserve.isFillAllowed
                            ? "background fill goes on: the disk has room again"
                            : "background fill stopped: the disk is too full; images are fetched as they are read",
                        metadata: [
                            "root": "\(root)", "used_percent": "\(capacity.usedPercent)", "limit_percent": "\(limit)",
                        ])
                }
                try await Task.sleep(for: .seconds(1))
            }
        }
    }
}
