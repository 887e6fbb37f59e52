public import Base
public import ContentStore

/// Names a layer to the planner; given by ``Planner/attach(_:host:)``.
public struct LayerID: Hashable, Sendable {
    public let value: UInt64

    public init(value: UInt64) {
        self.value = value
    }
}

/// Names a request; given by the planner.
public struct RequestID: Hashable, Sendable {
    public let value: UInt64

    public init(value: UInt64) {
        self.value = value
    }
}

/// A request that the planner wants made: ranges of one blob, several of them for a profile and for fill. Its extents are asked for
/// one by one with ``Planner/advance(_:now:)`` as the bytes arrive, so that the planner can still change its mind.
public struct FetchRequest: Hashable, Sendable {
    public let id: RequestID
    public let layer: LayerID
    /// Why it was started. It may be promoted while it runs.
    public let fetchClass: FetchClass
    /// What to ask for, in the order in which it is wanted: apart from each other, not empty, at most
    /// ``Planner/maximumRanges``.
    public let ranges: [ByteRange]
    /// How often the first demanded extent in it has been tried before; 0 for the first time.
    public let attempt: Int

    /// From the start of its first range to the end of its last one.
    public var blob: ByteRange { ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0) }
}

/// What the caller has to do, in this order, after the planner's lock is released.
public enum PlannerAction: Hashable, Sendable {
    /// Make this request.
    case start(FetchRequest)
    /// Go on with a request that ``Advance/pause`` had stopped.
    case resume(RequestID)
    /// A reader now waits for an extent that has arrived and is being decoded: do it next.
    case expedite(LayerID, Int)
    /// Tell the reader.
    case complete(DemandID, ChunkOutcome)
}

/// What a request does next.
public enum Advance: Hashable, Sendable {
    /// Take the bytes of this extent. `awaited` when a reader is blocked on it.
    case take(Int, awaited: Bool)
    /// Stop reading until ``PlannerAction/resume(_:)``: something more urgent has the link.
    case pause
    /// Nothing more is wanted of this request: end it, whatever is left of its range.
    case end
}

/// Why a request did not deliver all that it should have.
public struct RequestFailure: Hashable, Sendable {
    /// What kind of failure decides what happens to those who wait.
    public enum Kind: Hashable, Sendable {
        /// Another try may work.
        case retryable
        /// The registry said 429 or 503, and perhaps how many nanoseconds to stay away.
        case throttled(retryAfter: UInt64?)
        /// Another try gives the same answer.
        case permanent
    }

    public let kind: Kind
    /// For the log and for those who wait.
    public let reason: String

    public init(_ kind: Kind, reason: String) {
        self.kind = kind
        self.reason = reason
    }
}

/// What became of an extent whose bytes had arrived.
public enum ExtentOutcome: Hashable, Sendable {
    /// Decoded, verified, in the store.
    case available
    /// The bytes were not those that the index promises.
    case corrupt(reason: String)
    /// The bytes were right, and the store could not take them (no space, read-only, broken).
    case unstorable(reason: String)
}

/// Sums since the planner was made.
public struct PlannerStatistics: Hashable, Sendable {
    /// Requests started, by the class that they were started in.
    public var requests = PerClass<UInt64>(repeating: 0)
    /// Bytes asked for by them.
    public var bytes = PerClass<UInt64>(repeating: 0)
    /// Demands taken, and those that found everything local.
    public var demands: UInt64 = 0
    /// See ``demands``.
    public var demandsAlreadyLocal: UInt64 = 0
    /// Demanded extents that were under way already.
    public var joined: UInt64 = 0
    /// Requests of another class that became demand because a reader hit them.
    public var promoted: UInt64 = 0
    /// How often the room of readahead and fill was halved because demand was answered late.
    public var backOffs: UInt64 = 0
    /// Requests cut short because a reader wanted something far behind.
    public var cut: UInt64 = 0
    /// Demands that failed, and those that were cancelled.
    public var failed: UInt64 = 0
    /// See ``failed``.
    public var cancelled: UInt64 = 0
    /// Nanoseconds that demands waited, all together, and how many waited how long.
    public var stalled: UInt64 = 0
    /// See ``stalled``.
    public var stalls = StallHistogram()
    /// Extents fetched as neighbours or readahead, and those of them that were read later.
    public var speculated: UInt64 = 0
    /// See ``speculated``.
    public var speculatedRead: UInt64 = 0
    /// Bytes of extents that were fetched for a profile, and of those of them that were read.
    public var profiledBytes: UInt64 = 0
    /// See ``profiledBytes``.
    public var profiledBytesRead: UInt64 = 0
    /// Bytes of extents that were fetched because they were predicted, and of those of them that were read.
    public var predictedBytes: UInt64 = 0
    /// See ``predictedBytes``.
    public var predictedBytesRead: UInt64 = 0
    /// Requests that failed.
    public var requestsFailed: UInt64 = 0
    /// Extents whose bytes were wrong.
    public var corrupt: UInt64 = 0

    public init() {}
}
