public import Base
public import ContentStore

/// A layer's identity in the planner, assigned by ``Planner/attach(_:host:)``.
public struct LayerID: Hashable, Sendable {
    public let value: UInt64

    public init(value: UInt64) {
        self.value = value
    }
}

/// A request's identity, assigned by the planner.
public struct RequestID: Hashable, Sendable {
    public let value: UInt64

    public init(value: UInt64) {
        self.value = value
    }
}

/// A request that the caller sends for the planner: one or more ranges of one blob.
///
/// While the bytes arrive, the caller asks for the next extent with ``Planner/nextStep(of:now:)``. So the planner can
/// still pause, shorten or end the request.
public struct FetchRequest: Hashable, Sendable {
    public let id: RequestID
    public let layer: LayerID
    /// The class in which the request starts. The planner may promote the request while it runs.
    public let fetchClass: FetchClass
    /// The ranges, in the order in which they are needed. They are disjoint and not empty; there are at most
    /// ``Planner/maximumRanges``.
    public let ranges: [ByteRange]
    /// The number of earlier failures. For a demand, these are failures of its first extent; for a hint, failures of
    /// its extents; for fill, the layer's latest consecutive failed requests.
    public let attempt: Int

    /// The range from the start of the first range to the end of the last one.
    public var blob: ByteRange { ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0) }
}

/// A task for the caller. The caller releases the planner's lock, then performs the tasks in order.
public enum PlannerAction: Hashable, Sendable {
    /// Send this request.
    case start(FetchRequest)
    /// Continue a request that ``RequestStep/pause`` stopped.
    case resume(RequestID)
    /// Decode this extent next: it has arrived, and a reader now waits for it.
    case expedite(LayerID, Int)
    /// Complete the reader's demand.
    case complete(DemandID, ChunkOutcome)
}

/// The next step of a running request.
public enum RequestStep: Hashable, Sendable {
    /// Take the bytes of this extent. If `awaited`, a reader waits for it.
    case take(Int, awaited: Bool)
    /// Stop reading the response until ``PlannerAction/resume(_:)``: readers need the link more urgently.
    case pause
    /// End the request, even if parts of its ranges are left.
    case end
}

/// The failure of a request.
public struct RequestFailure: Hashable, Sendable {
    /// The kind of failure, which decides what happens to waiting readers.
    public enum Kind: Hashable, Sendable {
        /// A retry may succeed.
        case retryable
        /// The registry answered 429 or 503. `retryAfter` is the pause that it asked for, in nanoseconds; `nil` if it
        /// named none.
        case throttled(retryAfter: UInt64?)
        /// A retry would get the same answer.
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

/// The result of decoding, verifying and storing an extent.
public enum ExtentOutcome: Hashable, Sendable {
    /// Decoded, verified and stored.
    case available
    /// The bytes did not match the layer index.
    case corrupt(reason: String)
    /// The bytes were right, but the store could not write them (no space, read-only, broken).
    case unstorable(reason: String)
}
