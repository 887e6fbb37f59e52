/// What happened to one layer's readers, and what was fetched for them: sums since the layer was attached.
public struct LayerStatistics: Hashable, Sendable {
    /// Reads that waited for the registry, and how many nanoseconds all together.
    public var stalls: UInt64 = 0
    /// See ``stalls``.
    public var stalled: UInt64 = 0
    /// The longest of them, in nanoseconds.
    public var longestStall: UInt64 = 0
    /// Reads that failed.
    public var failed: UInt64 = 0
    /// Extents that a reader wanted before anybody had asked for them.
    public var surprises: UInt64 = 0
    /// Requests, and bytes asked for, by the class that they were started in.
    public var requests = PerClass<UInt64>(repeating: 0)
    /// See ``requests``.
    public var bytes = PerClass<UInt64>(repeating: 0)

    public init() {}

    mutating func add(stall nanoseconds: UInt64) {
        stalls += 1
        stalled &+= nanoseconds
        longestStall = max(longestStall, nanoseconds)
    }

    /// Both together.
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

/// How long readers waited: a histogram with fixed bounds.
public struct StallHistogram: Hashable, Sendable {
    /// The upper bounds of all buckets but the last, in nanoseconds: from what a disk takes to what an outage does.
    public static let bounds: [UInt64] = [
        1_000_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000,
        2_500_000_000, 5_000_000_000, 10_000_000_000, 30_000_000_000,
    ]

    /// One for each bound, and one for what is above them.
    public private(set) var counts = [UInt64](repeating: 0, count: bounds.count + 1)

    public init() {}

    mutating func add(_ nanoseconds: UInt64) {
        counts[Self.bounds.firstIndex { nanoseconds <= $0 } ?? Self.bounds.count] += 1
    }
}
