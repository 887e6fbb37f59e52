/// The stalls (waits of readers) and the fetches of one layer since it was attached to the planner.
public struct LayerStatistics: Hashable, Sendable {
    /// The number of reads that had to wait for the registry.
    public var stalls: UInt64 = 0
    /// The total waiting time of all ``stalls``, in nanoseconds.
    public var stalled: UInt64 = 0
    /// The longest waiting time among all ``stalls``, in nanoseconds.
    public var longestStall: UInt64 = 0
    /// The number of demands that failed.
    public var failed: UInt64 = 0
    /// The number of demanded extents for which the planner needed a new request. Either no request was fetching the
    /// extent, or the extent was too far behind in a running request. In the second case, the planner ended that
    /// request before the extent.
    public var surprises: UInt64 = 0
    /// The number of requests of each class. A request keeps counting in the class in which it started, even if a
    /// reader's demand later promotes it to ``FetchClass/demand``.
    public var requests = PerClass<UInt64>(repeating: 0)
    /// The number of requested bytes of each class. As in ``requests``, a request's bytes count in the class in which
    /// the request started.
    public var bytes = PerClass<UInt64>(repeating: 0)

    public init() {}

    mutating func add(stall nanoseconds: UInt64) {
        stalls += 1
        stalled &+= nanoseconds
        longestStall = max(longestStall, nanoseconds)
    }

    /// Returns the combined statistics of two layers: the sum of each counter, and the longer of the two longest
    /// stalls.
    public static func + (left: LayerStatistics, right: LayerStatistics) -> LayerStatistics {
        var sum = left
        sum.stalls += right.stalls
        sum.stalled += right.stalled
        sum.longestStall = max(left.longestStall, right.longestStall)
        sum.failed += right.failed
        sum.surprises += right.surprises
        for fetchClass in FetchClass.allCases {
            sum.requests[fetchClass] += right.requests[fetchClass]
            sum.bytes[fetchClass] += right.bytes[fetchClass]
        }
        return sum
    }
}

/// A histogram of stalls, the waiting times of reads, with fixed bounds.
public struct StallHistogram: Hashable, Sendable {
    /// The upper bounds of all buckets but the last, in nanoseconds. They range from the duration of a disk read to
    /// that of an outage.
    public static let bounds: [UInt64] = [
        1_000_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000,
        2_500_000_000, 5_000_000_000, 10_000_000_000, 30_000_000_000,
    ]

    /// The number of stalls in each bucket. The last bucket holds the stalls that are longer than all bounds.
    public private(set) var counts = [UInt64](repeating: 0, count: bounds.count + 1)

    public init() {}

    mutating func add(_ nanoseconds: UInt64) {
        counts[Self.bounds.firstIndex { nanoseconds <= $0 } ?? Self.bounds.count] += 1
    }
}
