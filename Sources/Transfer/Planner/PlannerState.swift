import Base
import ContentStore

/// An extent of a layer.
struct ExtentKey: Hashable, Sendable {
    let layer: LayerID
    let extent: Int
}

/// A waiting reader.
struct Demand: Sendable {
    let layer: LayerID
    let extents: Range<Int>
    /// The number of extents that it still waits for.
    var missing: Int
    let since: MonotonicTime
}

/// An extent that readers wait for.
struct AwaitedExtent: Sendable {
    enum Phase: Hashable, Sendable {
        /// In the demand queue.
        case queued
        /// In a request or in decoding.
        case inFlight
        /// Waiting for its next try.
        case paused
    }

    var waiters: [DemandID] = []
    var phase: Phase
    /// The number of requests that failed.
    var attempts = 0
    /// The number of times that its bytes were wrong.
    var corrupt = 0
}

/// The end of a demand's patience.
struct DemandDeadline: Sendable {
    let demand: DemandID
    let time: MonotonicTime
}

/// The next try of a demanded extent.
struct ExtentRetry: Sendable {
    let key: ExtentKey
    let time: MonotonicTime
}

/// Extents that hints or read-ahead will fetch.
struct BackgroundEntry: Sendable {
    let layer: LayerID
    var extents: Range<Int>
    /// The hint that names them; `nil` for read-ahead.
    var source: HintSource?
    /// The number of requests for them that failed.
    var attempts = 0
    var notBefore = MonotonicTime(nanoseconds: 0)
}

/// A layer that fill completes.
struct FillEntry: Sendable {
    let layer: LayerID
    /// The extents before it were present, in flight or given up when fill passed them.
    var cursor = 0
    /// True if an extent that fill passed was released since, so that fill must pass over the layer again.
    var hasHoles = false
    var failures = 0
    /// True if it yields to no reader: the image arrives sooner than yielding would pay off.
    let isEager: Bool
    /// The time when fill was asked for.
    let since: MonotonicTime
    /// The end of its wait for a first demand.
    let delayedUntil: MonotonicTime
    var notBefore = MonotonicTime(nanoseconds: 0)

    /// Returns the earliest time of its next request, given the time when a reader was last served.
    func earliest(_ lastServed: MonotonicTime?) -> MonotonicTime {
        if let lastServed, lastServed > since { return notBefore }
        return max(notBefore, delayedUntil)
    }
}

/// A running request.
struct Request: Sendable {
    let id: RequestID
    let layer: LayerID
    let startedAs: FetchClass
    var fetchClass: FetchClass
    /// The extents that have not been taken yet, in the order of their bytes.
    var rest: [Range<Int>]
    /// The extent whose bytes are arriving.
    var current: Int?
    /// The requested bytes; they count against the class's limit until the request ends.
    let bytes: UInt64
    /// The bytes of extents that have not been taken.
    var bytesLeft: UInt64
    let startedAt: MonotonicTime
    /// True if the answer has begun.
    var isAnswered = false
    let attempts: Int
    /// The hint that it fetches; `nil` for other classes.
    let source: HintSource?
    /// True if it pauses for readers, if its class is fill.
    let mayPause: Bool
    var pausedSince: MonotonicTime?
    /// The bytes that a starved fill may take before it pauses again.
    var trickle: UInt64 = 0

    mutating func take() -> Int? {
        guard let segment = rest.first else { return nil }
        if segment.count == 1 {
            rest.removeFirst()
        } else {
            rest[0] = segment.lowerBound + 1..<segment.upperBound
        }
        return segment.lowerBound
    }

    func contains(_ extent: Int) -> Bool {
        current == extent || rest.contains { $0.contains(extent) }
    }
}
