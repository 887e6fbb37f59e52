public import Base
public import ContentStore

/// A layer's identity in the planner, given by ``Planner/attach(_:host:)``.
public struct LayerID: Hashable, Sendable {
    public let value: UInt64

    public init(value: UInt64) {
        self.value = value
    }
}

/// A request's identity, given by the planner.
public struct RequestID: Hashable, Sendable {
    public let value: UInt64

    public init(value: UInt64) {
        self.value = value
    }
}

/// A request that the planner orders: one or more ranges of one blob. The caller asks for its extents one by one with
/// ``Planner/nextStep(of:now:)`` as the bytes arrive, so the planner can still change its mind.
public struct FetchRequest: Hashable, Sendable {
    public let id: RequestID
    public let layer: LayerID
    /// The class in which it starts. It may be promoted while it runs.
    public let fetchClass: FetchClass
    /// The ranges in the order in which they are needed: apart from each other, not empty, at most
    /// ``Planner/maximumRanges``.
    public let ranges: [ByteRange]
    /// The number of earlier tries for its first demanded extent.
    public let attempt: Int

    /// The range from the start of the first range to the end of the last one.
    public var blob: ByteRange { ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0) }
}

/// A task for the caller. Tasks are carried out in order, after the planner's lock is released.
public enum PlannerAction: Hashable, Sendable {
    /// Send this request.
    case start(FetchRequest)
    /// Continue a request that ``RequestStep/pause`` had stopped.
    case resume(RequestID)
    /// Decode this extent next: it has arrived, and a reader now waits for it.
    case expedite(LayerID, Int)
    /// Complete the reader's demand.
    case complete(DemandID, ChunkOutcome)
}

/// The next step of a running request.
public enum RequestStep: Hashable, Sendable {
    /// Take the bytes of this extent; a reader is blocked on it if `awaited`.
    case take(Int, awaited: Bool)
    /// Stop reading until ``PlannerAction/resume(_:)``: something more urgent has the link.
    case pause
    /// End the request, whatever is left of its ranges.
    case end
}

/// The failure of a request.
public struct RequestFailure: Hashable, Sendable {
    /// The kind of failure, which decides what happens to waiting readers.
    public enum Kind: Hashable, Sendable {
        /// A retry may succeed.
        case retryable
        /// The registry answered 429 or 503, possibly with a number of nanoseconds to stay away.
        case throttled(retryAfter: UInt64?)
        /// A retry gets the same answer.
        case permanent
    }

    public let kind: Kind
    /// The reason, for the log and for waiting readers.
    public let reason: String

    public init(_ kind: Kind, reason: String) {
        self.kind = kind
        self.reason = reason
    }
}

/// The fate of an extent whose bytes have arrived.
public enum ExtentOutcome: Hashable, Sendable {
    /// Decoded, verified and stored.
    case available
    /// The bytes did not match the index.
    case corrupt(reason: String)
    /// The bytes were right, but the store could not take them (no space, read-only, broken).
    case unstorable(reason: String)
}
