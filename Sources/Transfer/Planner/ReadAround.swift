/// How much to fetch behind a small demand in the same request.
///
/// A starting process reads many small files one after the other, and waits a round trip for each. Those that it reads
/// together were often packed together (a package's directory), so the bytes behind a demand are worth fetching when they
/// save more round trips than they take time on the link. How often they pay depends on the image, and what they cost on the link, so both are
/// watched: each neighbour that is read later is one round trip saved, each that is not is time on the link. Where they win, the size
/// doubles; where they lose four times what they win, it halves. The bytes follow the demanded extent, so the reader that asked does not wait for them.
struct ReadAround: Sendable {
    private let limits: NeighbourhoodLimits
    private(set) var size: UInt64
    /// Since the size was last thought about: requests that took neighbours along, and those that had none small enough.
    private var requests = 0
    private var requestsAlone = 0
    private var hits = 0
    private var bytes: UInt64 = 0
    private var bytesRead: UInt64 = 0

    init(_ limits: NeighbourhoodLimits) {
        self.limits = limits
        size = limits.first
    }

    /// Begins with what others have learned, and no more than the link carries in a round trip.
    init(after others: ReadAround, _ pace: LinkEstimate) {
        limits = others.limits
        let carried = pace.highestRate * (pace.shortestDelay + limits.effort) / 1e9
        size = carried > 0 && carried < Double(others.size) ? max(limits.smallest, UInt64(carried)) : others.size
    }

    /// Bytes to take along with a demand of `demand`, at most `limit`.
    func allowance(forDemandOf demand: UInt64, limit: UInt64 = .max) -> UInt64 {
        demand >= limits.smallDemand ? 0 : min(size, limit)
    }

    /// A small demand took neighbours of so many bytes along, or none.
    mutating func requested(with count: UInt64, _ pace: LinkEstimate) {
        guard count > 0 else {
            requestsAlone += 1
            // What was not worth it then may be now.
            if requestsAlone >= 2 * limits.period { restart(max(size, min(size &* 2, limits.first))) }
            return
        }
        requests += 1
        bytes &+= count
        guard requests >= limits.period else { return }
        let roundTrip = pace.shortestDelay + limits.effort
        let saved = Double(hits) * roundTrip
        let lost = Double(bytes - min(bytes, bytesRead)) / pace.highestRate * 1e9
        // Nothing known of the link: as if it carried the size in a round trip.
        let gain = pace.highestRate > 0 ? saved / max(lost, 1) : Double(hits) / Double(requests)
        // Those of the last requests have hardly had the time to be read.
        restart(gain >= 1 ? size &* 2 : gain < 0.25 ? size / 2 : size)
    }

    private mutating func restart(_ size: UInt64) {
        self.size = max(limits.smallest, min(size, limits.largest))
        (requests, requestsAlone, hits, bytes, bytesRead) = (0, 0, 0, 0, 0)
    }

    /// A neighbour of so many bytes was read for the first time.
    mutating func wasRead(_ count: UInt64) {
        hits += 1
        bytesRead &+= count
    }
}
