import Base
import ContentStore

/// The identity of an extent: its layer and its number.
struct ExtentKey: Hashable, Sendable {
    let layer: LayerID
    let extent: Int
}

/// A reader that waits for extents.
struct Demand: Sendable {
    let layer: LayerID
    let extents: Range<Int>
    /// The number of extents that the reader still waits for.
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
        /// Waiting for the time of its next retry.
        case paused
        /// Waiting for the recovery of its layer, because requests cannot bring it.
        case recovering
    }

    var waiters: [DemandID] = []
    var phase: Phase
    /// The number of failed requests for the extent. Only requests that started as a demand count.
    var attempts = 0
    /// The number of fetches whose bytes contradicted the layer index.
    var corrupt = 0
    /// The number of recoveries for which the extent waited in vain, although they read the whole blob.
    var recoveries = 0
}

/// The time at which a demand fails if it is still waiting.
struct DemandDeadline: Sendable {
    let demand: DemandID
    let time: MonotonicTime
}

/// A scheduled retry of a demanded extent.
struct ExtentRetry: Sendable {
    let key: ExtentKey
    let time: MonotonicTime
}

/// A range of extents in the queue of hints or of read-ahead.
struct BackgroundEntry: Sendable {
    let layer: LayerID
    var extents: Range<Int>
    /// The source of the hint that names the extents; `nil` for read-ahead.
    var source: HintSource?
    /// The number of failed requests for the extents.
    var attempts = 0
    /// The earliest time of the next request for the extents after a failed one.
    var notBefore = MonotonicTime(nanoseconds: 0)
}

/// A layer that fill still has to complete, and the progress of fill in it.
struct FillEntry: Sendable {
    let layer: LayerID
    /// The number of the next extent to examine. Fill has passed all extents before this one. When it passed them, each
    /// was present, in flight or marked ``LayerState/Marks/avoid``.
    var cursor = 0
    /// True if fill may have passed extents that did not arrive after all or could not be stored. Fill must then go
    /// through the layer again.
    var hasHoles = false
    /// The number of the layer's fill requests that failed since the last success.
    var failures = 0
    /// True if fill of this layer is eager, so that it does not yield to readers; see
    /// ``PlannerConfiguration/eagerSmallest`` and ``PlannerConfiguration/eagerSeconds``.
    let isEager: Bool
    /// The time when the caller asked for fill.
    let since: MonotonicTime
    /// The time at which fill of this layer starts even if the container has not read anything yet.
    let delayedUntil: MonotonicTime
    /// The earliest time of the layer's next fill request after a failed one.
    var notBefore = MonotonicTime(nanoseconds: 0)

    /// Returns the earliest time of the layer's next fill request. Until the container has read something, this is
    /// ``delayedUntil`` or later. Afterwards, only ``notBefore`` counts.
    ///
    /// - Parameter lastServed: the latest time at which a reader was served; `nil` if there was none. If this time is
    ///   after ``since``, the container has read something.
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
    /// The extents that the caller has not taken yet, in the order of their arrival.
    var rest: [Range<Int>]
    /// The extent whose bytes are arriving; `nil` between extents.
    var current: Int?
    /// The number of requested bytes. They count against the class's limit until the request ends.
    let bytes: UInt64
    /// The number of requested bytes that are still to come. This is ``bytes`` minus the bytes of extents that the
    /// caller has taken or that the planner has cut out of the request. The bytes between extents are never subtracted.
    var bytesLeft: UInt64
    let startedAt: MonotonicTime
    /// True if the answer has begun.
    var isAnswered = false
    let attempts: Int
    /// The source of the hint that the request fetches; `nil` if the request did not start in class hint.
    let source: HintSource?
    /// True if the request may pause for readers; false for nearby fill. The value has no effect in classes other than
    /// fill.
    let mayPause: Bool
    var pausedSince: MonotonicTime?
    /// The number of bytes that a fill request may still fetch before it pauses again; see
    /// ``PlannerConfiguration/fillTrickle``.
    var trickle: UInt64 = 0

    /// Removes the next extent from ``rest`` and returns it; `nil` if there is none.
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
