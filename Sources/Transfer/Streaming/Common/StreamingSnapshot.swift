public import Planner

/// The engine's figures at one moment, for metrics.
public struct StreamingSnapshot: Sendable, Hashable {
    /// The planner's sums.
    public var planner: PlannerStatistics
    /// Bytes of bodies that arrived, by the class in which their request started.
    public var received: PerClass<UInt64>
    /// Bytes of bodies that were discarded: gaps between extents, and extents that nobody needed any more.
    public var skipped: UInt64
    /// Verified bytes that came out of decoding.
    public var decodedBytes: UInt64
    /// The extents of ``decodedBytes``.
    public var decodedExtents: UInt64
    /// The total time of decoding, hashing and storing, in nanoseconds.
    public var decodeNanoseconds: UInt64
    /// Chunks with a wrong digest.
    public var digestFailures: UInt64
    /// Extents that could not be decoded.
    public var decodeFailures: UInt64
    /// Chunks that the store refused.
    public var storeFailures: UInt64
    /// Times that a connection was not read because decoding was behind.
    public var backPressure: UInt64
    /// Readers' requests that were late and were sent a second time.
    public var hedged: UInt64
    /// Startup packs whose chunks were fetched.
    public var packs: UInt64
    /// Startup packs that were abandoned.
    public var packsAbandoned: UInt64
    /// Bytes of startup packs that arrived.
    public var packBytes: UInt64
    /// The latest estimate of the link's rate, in bytes a second; 0 before the first measurement.
    public var bytesPerSecond: Double
    /// The latest estimate of the time from a request to its answer, in nanoseconds; 0 before the first answer.
    public var answerDelay: Double
    /// The queued entries of each class.
    public var queued: PerClass<Int>
    /// The compressed bytes that wait for decoding.
    public var decodeQueueBytes: Int
    /// The demands that wait now.
    public var waitingDemands: Int
    /// The requests that run now.
    public var runningRequests: Int
    /// The running requests that pause for readers.
    public var pausedRequests: Int
    /// The startup packs on their way.
    public var runningPacks: Int
    /// The attached layers.
    public var layers: Int
    /// The attached layers that are complete.
    public var completeLayers: Int
}
