import Base

/// The size of read-around: the number of bytes that the request for a small demand also fetches after the demanded
/// bytes. The extents with these extra bytes are the demand's *neighbors*.
///
/// A starting process reads many small files one after the other, and waits a round trip for each. Files that are read
/// together were often packed together, such as the directory of a package. So the bytes after a demand are worth
/// fetching if they save more time in round trips than they cost on the link.
///
/// Savings and costs depend on the image and the link, so the planner measures both. A neighbor that is read later has
/// saved a round trip; any other neighbor has cost link time. The size doubles while neighbors save at least as much
/// time as they cost. The size halves when neighbors cost more than four times what they save. The neighbors come after
/// the demanded extent, so the reader of the demanded extent does not wait for them.
struct ReadAround: Sendable {
    private let limits: ReadAroundLimits
    private let requestCost: Double
    private(set) var size: UInt64
    /// The number of requests with neighbors since the last adjustment.
    private var requests = 0
    /// The number of requests since the last adjustment that had room for neighbors, but got none.
    private var requestsAlone = 0
    private var hits = 0
    private var bytes: UInt64 = 0
    private var bytesRead: UInt64 = 0

    init(_ limits: ReadAroundLimits) {
        self.limits = limits
        requestCost = Double(limits.requestCost.wholeNanoseconds)
        size = limits.first
    }

    /// Creates the read-around of a new layer. It begins with the size of `others`, the read-around measured over all
    /// layers.
    ///
    /// On a slow link, the size is smaller: the number of bytes that the link carries in the time of a round trip plus
    /// ``ReadAroundLimits/requestCost``. The size is then at least ``ReadAroundLimits/smallest``.
    init(after others: ReadAround, _ link: LinkEstimate) {
        limits = others.limits
        requestCost = others.requestCost
        let carried = link.highestRate * (link.shortestDelay + requestCost) / 1e9
        size = carried > 0 && carried < Double(others.size) ? max(limits.smallest, UInt64(carried)) : others.size
    }

    /// Returns the maximum number of neighbor bytes for a demand of `demand` bytes. The result is ``size``, but at most
    /// `limit`. It is 0 if the demand is not small; see ``ReadAroundLimits/smallDemand``.
    func allowance(forDemandOf demand: UInt64, limit: UInt64 = .max) -> UInt64 {
        demand >= limits.smallDemand ? 0 : min(size, limit)
    }

    /// Records the request for a small demand, and adjusts the size from time to time. It does so after
    /// ``ReadAroundLimits/period`` requests with neighbors, or after twice as many requests without neighbors.
    ///
    /// - Parameters:
    ///   - count: the number of neighbor bytes in the request; 0 if it has no neighbors.
    ///   - link: the current estimate of the link, which shows the time that neighbors cost and save.
    mutating func requested(with count: UInt64, _ link: LinkEstimate) {
        guard count > 0 else {
            requestsAlone += 1
            // A larger size may pay off by now, so grow back toward the initial size.
            if requestsAlone >= 2 * limits.period { restart(max(size, min(size &* 2, limits.first))) }
            return
        }
        requests += 1
        bytes &+= count
        guard requests >= limits.period else { return }
        let roundTrip = link.shortestDelay + requestCost
        let saved = Double(hits) * roundTrip
        let lost = Double(bytes - min(bytes, bytesRead)) / link.highestRate * 1e9
        // On an unmeasured link, assume that a round trip carries as many bytes as the read-around.
        let gain = link.highestRate > 0 ? saved / max(lost, 1) : Double(hits) / Double(requests)
        // The latest neighbors have hardly had time to be read, so a moderate loss changes nothing.
        restart(gain >= 1 ? size &* 2 : gain < 0.25 ? size / 2 : size)
    }

    private mutating func restart(_ size: UInt64) {
        self.size = max(limits.smallest, min(size, limits.largest))
        (requests, requestsAlone, hits, bytes, bytesRead) = (0, 0, 0, 0, 0)
    }

    /// Records the first read of a neighbor of `count` bytes.
    mutating func wasRead(_ count: UInt64) {
        hits += 1
        bytesRead &+= count
    }
}
