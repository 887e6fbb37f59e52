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

/// A request for one or more byte ranges of a layer's blob. The planner plans the request, and the caller sends it to
/// the registry.
///
/// The caller reads the response one extent (a decodable piece of the blob) at a time. Before each extent, the caller
/// calls ``Planner/nextStep(of:now:)``, so the planner can still pause, shorten or end the request.
public struct FetchRequest: Hashable, Sendable {
    public let id: RequestID
    public let layer: LayerID
    /// The class in which the request starts. The planner may promote the request to ``FetchClass/demand`` later.
    public let fetchClass: FetchClass
    /// The ranges, in the order in which their bytes must arrive. For hints, this order may differ from the order of
    /// the blob. The ranges are disjoint, and none is empty. There are at most ``Planner/maximumRanges``.
    public let ranges: [ByteRange]
    /// The number of earlier failed requests for the same bytes. The meaning depends on the class:
    ///
    /// - demand: the number of failed requests for the first extent;
    /// - hint: the number of failed requests for each extent, which is the same for all extents of the request;
    /// - fill: the number of the layer's fill requests that failed since the last success;
    /// - read-ahead: always 0, because the planner does not retry read-ahead.
    public let attempt: Int

    /// The range from the start of the first requested range to the end of the last requested range. The result covers
    /// all of ``ranges`` only if ``ranges`` is in the order of the blob.
    public var blob: ByteRange { ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0) }
}

/// A task for the caller. The caller releases the planner's lock, then performs the tasks in order.
public enum PlannerAction: Hashable, Sendable {
    /// Send this request.
    case start(FetchRequest)
    /// Continue a request that ``RequestStep/pause`` stopped.
    case resume(RequestID)
    /// Decode this extent before others: its bytes have arrived, and a reader now waits for it.
    case expedite(LayerID, Int)
    /// Complete the reader's demand with this outcome.
    case complete(DemandID, ChunkOutcome)
    /// Recover the layer: read its own blob from the first byte, decode it in order, and publish its missing chunks.
    /// `reason` tells why requests cannot bring an extent. The caller reports extents with
    /// ``Planner/extentRecovered(_:extent:outcome:now:)``, and then calls ``Planner/recoveryEnded(_:failure:now:)``
    /// once.
    case recover(LayerID, reason: String)
}

/// The next step of a running request.
public enum RequestStep: Hashable, Sendable {
    /// Read the bytes of this extent, and pass them to decoding. `awaited` is true if a reader waits for the extent.
    case take(Int, awaited: Bool)
    /// Stop reading the response until ``PlannerAction/resume(_:)``: readers need the link more urgently.
    case pause
    /// End the request, even if parts of its ranges have not arrived.
    case end
}

/// The failure of a request to the registry.
public struct RequestFailure: Hashable, Sendable {
    /// The kind of failure, which decides what happens to waiting readers.
    public enum Kind: Hashable, Sendable {
        /// The registry did not answer. A retry may succeed.
        case retryable
        /// The registry answered, but not with the requested bytes. A retry may succeed.
        case unusable
        /// The registry answered 429 or 503. `retryAfter` is the pause from its `Retry-After` header, in nanoseconds;
        /// `nil` without the header.
        case throttled(retryAfter: UInt64?)
        /// The request failed, and a retry would fail in the same way.
        case permanent

        /// True if the registry answered the request and asked for no pause. It may then answer a request for the whole
        /// blob.
        var isAnswered: Bool {
            switch self {
            case .unusable, .permanent: true
            case .retryable, .throttled: false
            }
        }
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
    /// The bytes were right, but the content store could not write them (disk or quota full, disk read-only or
    /// failing). Readers that wait receive them from memory.
    case unstorable(reason: String)
}
