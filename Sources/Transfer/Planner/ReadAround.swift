import Base

/// The number of bytes behind a small demand that its request fetches along.
///
/// A starting process reads many small files one after the other and waits a round trip for each. Files that are read
/// together were often packed together (a package's directory), so the bytes behind a demand are worth fetching when
/// they save more round trips than they cost link time. Both depend on image and link, so both are measured: each
/// neighbor that is read later saved a round trip, each that is not cost link time. The size doubles while neighbors
/// pay, and halves when they cost four times what they save. The bytes follow the demanded extent, so its reader does
/// not wait for them.
struct ReadAround: Sendable {
    private let limits: ReadAroundLimits
    private let requestCost: Double
    private(set) var size: UInt64
    /// Since the last adjustment: requests with neighbors, and requests that had no neighbors small enough.
    private var requests = 0
    private var requestsAlone = 0
    private var hits = 0
    private var bytes: UInt64 = 0
    private var bytesRead: UInt64 = 0

    init(_ limits: ReadAroundLimits) {
        self.limits = limits
        requestCost = Double(limits.requestCost.wholeNanoseconds)
        size = limits.first
    }

    /// Creates a layer's own from the experience of all layers, with no more than the link carries in a round trip.
    init(after others: ReadAround, _ link: LinkEstimate) {
        limits = others.limits
        requestCost = others.requestCost
        let carried = link.highestRate * (link.shortestDelay + requestCost) / 1e9
        size = carried > 0 && carried < Double(others.size) ? max(limits.smallest, UInt64(carried)) : others.size
    }

    /// Returns the bytes to fetch along with a demand of `demand` bytes, at most `limit`.
    func allowance(forDemandOf demand: UInt64, limit: UInt64 = .max) -> UInt64 {
        demand >= limits.smallDemand ? 0 : min(size, limit)
    }

    /// Records the request of a small demand with `count` bytes of neighbors; 0 for none.
    mutating func requested(with count: UInt64, _ link: LinkEstimate) {
        guard count > 0 else {
            requestsAlone += 1
            // A larger size may pay by now.
            if requestsAlone >= 2 * limits.period { restart(max(size, min(size &* 2, limits.first))) }
            return
        }
        requests += 1
        bytes &+= count
        guard requests >= limits.period else { return }
        let roundTrip = link.shortestDelay + requestCost
        let saved = Double(hits) * roundTrip
        let lost = Double(bytes - min(bytes, bytesRead)) / link.highestRate * 1e9
        // On an unmeasured link, assume that it carries the size in a round trip.
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
