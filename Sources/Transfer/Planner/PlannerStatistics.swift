/// Totals since the planner was created.
public struct PlannerStatistics: Hashable, Sendable {
    /// The number of started requests of each class. A request keeps counting in the class in which it started, even if
    /// the planner promotes it later (``promoted``).
    public var requests = PerClass<UInt64>(repeating: 0)
    /// The number of requested bytes of each class. They count in the same class as their request in ``requests``.
    public var bytes = PerClass<UInt64>(repeating: 0)
    /// The number of demands, including reads that a startup pack served.
    public var demands: UInt64 = 0
    /// The number of demands whose extents were all in the store already.
    public var demandsAlreadyLocal: UInt64 = 0
    /// The number of demanded extents that a request was already fetching, or that were in decoding.
    public var joined: UInt64 = 0
    /// The number of requests of other classes that became demand because a reader needed one of their extents.
    public var promoted: UInt64 = 0
    /// The number of times that the planner halved the limits of read-ahead and fill because registries answered
    /// demands late.
    public var throttled: UInt64 = 0
    /// The number of requests that the planner cut short because a reader needed an extent far behind in them.
    public var cut: UInt64 = 0
    /// The number of demands that failed.
    public var failed: UInt64 = 0
    /// The number of demands that were canceled.
    public var cancelled: UInt64 = 0
    /// The total waiting time of demands, in nanoseconds.
    public var stalled: UInt64 = 0
    /// The distribution of the waiting times of demands.
    public var stalls = StallHistogram()
    /// The number of extents fetched as read-ahead, or as neighbors of a demand (``ReadAround``).
    public var speculative: UInt64 = 0
    /// The number of ``speculative`` extents that were read later.
    public var speculativeRead: UInt64 = 0
    /// The number of bytes in extents fetched for a landmark or a recorded start.
    public var hintedBytes: UInt64 = 0
    /// The part of ``hintedBytes`` whose extents were read later.
    public var hintedBytesRead: UInt64 = 0
    /// The number of bytes in extents fetched for predictions.
    public var predictedBytes: UInt64 = 0
    /// The part of ``predictedBytes`` whose extents were read later.
    public var predictedBytesRead: UInt64 = 0
    /// The number of requests that failed.
    public var requestsFailed: UInt64 = 0
    /// The number of fetched extents whose bytes did not match the layer index.
    public var corrupt: UInt64 = 0
    /// The number of recoveries of layers that the planner began.
    public var recoveries: UInt64 = 0

    public init() {}
}
