/// Sums since the planner was created.
public struct PlannerStatistics: Hashable, Sendable {
    /// Started requests, by the class in which they started.
    public var requests = PerClass<UInt64>(repeating: 0)
    /// Requested bytes, by the class in which their request started.
    public var bytes = PerClass<UInt64>(repeating: 0)
    /// Demands.
    public var demands: UInt64 = 0
    /// Demands that found everything local.
    public var demandsAlreadyLocal: UInt64 = 0
    /// Demanded extents that were already in flight.
    public var joined: UInt64 = 0
    /// Requests of other classes that became demand because a reader hit them.
    public var promoted: UInt64 = 0
    /// Times that the limits of read-ahead and fill were halved because demand was answered late.
    public var throttled: UInt64 = 0
    /// Requests that were cut short because a reader needed something far behind.
    public var cut: UInt64 = 0
    /// Demands that failed.
    public var failed: UInt64 = 0
    /// Demands that were cancelled.
    public var cancelled: UInt64 = 0
    /// The total waiting time of demands, in nanoseconds.
    public var stalled: UInt64 = 0
    /// The waiting times of demands.
    public var stalls = StallHistogram()
    /// Extents fetched as neighbors or read-ahead.
    public var speculative: UInt64 = 0
    /// Speculative extents that were read later.
    public var speculativeRead: UInt64 = 0
    /// Bytes of extents fetched for a landmark or a recorded start.
    public var hintedBytes: UInt64 = 0
    /// Bytes of ``hintedBytes`` whose extents were read later.
    public var hintedBytesRead: UInt64 = 0
    /// Bytes of extents fetched for predictions.
    public var predictedBytes: UInt64 = 0
    /// Bytes of ``predictedBytes`` whose extents were read later.
    public var predictedBytesRead: UInt64 = 0
    /// Requests that failed.
    public var requestsFailed: UInt64 = 0
    /// Extents whose bytes were wrong.
    public var corrupt: UInt64 = 0

    public init() {}
}
