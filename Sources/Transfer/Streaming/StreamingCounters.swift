import Base
public import Planner

/// What the engine counts beside what the planner does.
final class StreamingCounters: Sendable {
    /// Bytes of bodies that arrived, by the class of their request.
    let received = PerClass(demand: Counter(), profile: Counter(), readahead: Counter(), fill: Counter())
    /// Bytes of bodies that lay between extents, or behind what was still wanted.
    let skipped = Counter()
    let decodedBytes = Counter()
    let decodedExtents = Counter()
    let digestFailures = Counter()
    let decodeFailures = Counter()
    let storeFailures = Counter()
    let decodeNanoseconds = Counter()
    /// Times that a connection was not read from because decoding was behind.
    let backPressure = Counter()
    /// Requests for readers that were late and were made a second time.
    let hedged = Counter()
    /// Startup packs that were replayed, and of them those that were given up.
    let packs = Counter()
    /// See ``packs``.
    let packsAbandoned = Counter()
    /// Bytes of them that arrived.
    let packBytes = Counter()
}

/// The engine's figures at one moment, for metrics.
public struct StreamingSnapshot: Sendable, Hashable {
    /// What was decided: requests and bytes by class, demands, joins, promotions, stalls, guesses.
    public var planner: PlannerStatistics
    /// Bytes of bodies that arrived, by the class that their request was started in.
    public var received: PerClass<UInt64>
    /// Of them, those that were thrown away: gaps between extents, and what was no longer wanted.
    public var skipped: UInt64
    /// Verified bytes that came out of decoding, and the extents that they were in.
    public var decodedBytes: UInt64
    /// See ``decodedBytes``.
    public var decodedExtents: UInt64
    /// Nanoseconds that workers spent on decoding, hashing and storing, all together.
    public var decodeNanoseconds: UInt64
    /// Chunks whose digest was not that of the index.
    public var digestFailures: UInt64
    /// Extents that could not be decoded.
    public var decodeFailures: UInt64
    /// Chunks that the store did not take.
    public var storeFailures: UInt64
    /// Times that a connection was not read from because decoding was behind.
    public var backPressure: UInt64
    /// Requests for readers that were late and were made a second time.
    public var hedged: UInt64
    /// Startup packs that were replayed, those that were given up, and bytes of them that arrived.
    public var packs: UInt64
    /// See ``packs``.
    public var packsAbandoned: UInt64
    /// See ``packs``.
    public var packBytes: UInt64
    /// The link as it was seen last: bytes a second, and nanoseconds from a request to its answer; 0 for not yet.
    public var bytesPerSecond: Double
    /// See ``bytesPerSecond``.
    public var answerDelay: Double
    /// Entries of each class that wait for their turn, and compressed bytes that wait for decoding.
    public var queued: PerClass<Int>
    /// See ``queued``.
    public var decodeQueueBytes: Int
    /// Demands that wait now.
    public var waitingDemands: Int
    /// Requests under way now.
    public var runningRequests: Int
    /// Of them, those that stand back for readers.
    public var pausedRequests: Int
    /// Layers that are known now.
    public var layers: Int
    /// Of them, those that are here to the last byte.
    public var completeLayers: Int
}
