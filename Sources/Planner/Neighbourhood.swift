/// How much to fetch behind a small demand in the same request.
///
/// A starting process reads many small files one after the other, and waits a round trip for each. Those that it reads
/// together were often packed together (a package's directory), so the bytes behind a demand are worth fetching when they
/// save, on average, more round trips than they take time on the link. Measured with `make demo`: 128 KiB gave 115 requests
/// until ready, 512 KiB 77 for 3 MB more, a sixth sooner on loopback and no later at 200 Mbit/s. How often they pay
/// depends on the image, so it is watched: each neighbour that is read later is one request saved. As many as one a
/// request, and the size doubles; fewer than one in three requests, and it halves. The bytes follow the demanded
/// extent, so the reader that asked does not wait for them.
struct Neighbourhood: Sendable {
    private let limits: NeighbourhoodLimits
    private(set) var size: UInt64
    private var requests = 0
    private var hits = 0

    init(_ limits: NeighbourhoodLimits) {
        self.limits = limits
        size = limits.first
    }

    /// Bytes to take along with a demand of `bytes`, at most `limit`.
    func allowance(forDemandOf bytes: UInt64, limit: UInt64 = .max) -> UInt64 {
        bytes >= limits.smallDemand ? 0 : min(size, limit)
    }

    /// A request took neighbours along.
    mutating func requested() {
        requests += 1
        guard requests >= limits.period else { return }
        if hits >= requests {
            size = min(size &* 2, limits.largest)
        } else if hits * 3 < requests {
            size = max(size / 2, limits.smallest)
        }
        requests = 0
        hits = 0
    }

    /// A neighbour was read for the first time.
    mutating func wasRead() {
        hits += 1
    }
}
