public import Planner

/// The engine's figures at one moment, for metrics.
public struct StreamingSnapshot: Sendable, Hashable {
    /// The planner's counters.
    public var planner: PlannerStatistics
    /// The number of bytes of response bodies that arrived, by ``FetchClass``. The bytes count in the class in which
    /// their request started. Bytes of startup packs count in ``packBytes`` instead, and bytes for recoveries in
    /// ``recoveryBytes``.
    public var received: PerClass<UInt64>
    /// The number of bytes of response bodies that the engine discarded: bytes between the requested extents, and
    /// extents that were no longer needed.
    public var skipped: UInt64
    /// The number of verified bytes that decoding wrote to the store.
    public var decodedBytes: UInt64
    /// The number of decoded extents.
    public var decodedExtents: UInt64
    /// The total time that all threads spent on decoding, hashing and storing, in nanoseconds.
    public var decodeNanoseconds: UInt64
    /// The number of chunks with a wrong digest.
    public var digestFailures: UInt64
    /// The number of extents and startup pack frames that the engine failed to decode.
    public var decodeFailures: UInt64
    /// The number of chunks that the content store failed to write.
    public var storeFailures: UInt64
    /// The number of times that the engine stopped reading a connection because the decode queue was full.
    public var backPressure: UInt64
    /// The number of readers' requests that the engine sent a second time because the first answer was late.
    public var hedged: UInt64
    /// The number of startup packs whose chunks the engine began to fetch, including packs that were abandoned later.
    public var packs: UInt64
    /// The number of startup packs that the engine abandoned after a failure.
    public var packsAbandoned: UInt64
    /// The number of bytes of startup packs that arrived.
    public var packBytes: UInt64
    /// The number of recoveries that failed. A recovery reads a layer's blob from its first byte.
    public var recoveriesFailed: UInt64
    /// The number of bytes of blobs that arrived for recoveries.
    public var recoveryBytes: UInt64
    /// The latest estimate of the network link's rate, in bytes a second; 0 before the first measurement.
    public var bytesPerSecond: Double
    /// The latest estimate of the time from a request to the head of its answer, in nanoseconds; 0 before the first
    /// answer.
    public var answerDelay: Double
    /// The number of entries in the planner's queue of each ``FetchClass``. An entry is one extent for demand, a range
    /// of extents for hints and read-ahead, and a layer for fill.
    public var queued: PerClass<Int>
    /// The number of compressed bytes that wait for decoding.
    public var decodeQueueBytes: Int
    /// The number of reads that wait for missing chunks now.
    public var waitingDemands: Int
    /// The number of running requests for extents. Requests for startup packs are not included.
    public var runningRequests: Int
    /// The number of running requests that the planner has paused in favor of readers.
    public var pausedRequests: Int
    /// False while background fill is stopped (``StreamingEngine/allowFill(_:)``).
    public var isFillAllowed: Bool
    /// The number of startup packs in flight.
    public var runningPacks: Int
    /// The number of attached layers.
    public var layers: Int
    /// The number of attached layers whose chunks are all in the store.
    public var completeLayers: Int
}
