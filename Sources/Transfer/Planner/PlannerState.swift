import Base
import ContentStore

/// An extent of a layer.
struct ExtentKey: Hashable, Sendable {
    let layer: LayerID
    let extent: Int
}

/// A reader that waits.
struct Demand: Sendable {
    let layer: LayerID
    let extents: Range<Int>
    /// Extents that it still waits for.
    var missing: Int
    let since: MonotonicTime
}

/// An extent that readers wait for.
struct Want: Sendable {
    enum Phase: Hashable, Sendable {
        /// In the demand queue.
        case queued
        /// In a request or in decoding.
        case inFlight
        /// Waiting for the next try.
        case paused
    }

    var waiters: [DemandID] = []
    var phase: Phase
    /// Requests that failed.
    var attempts = 0
    /// Times that its bytes were wrong.
    var corrupt = 0
}

struct Deadline: Sendable {
    let ticket: DemandID
    let time: MonotonicTime
}

struct Retry: Sendable {
    let key: ExtentKey
    let time: MonotonicTime
}

/// Extents that a background class is to fetch.
struct BackgroundEntry: Sendable {
    let layer: LayerID
    var extents: Range<Int>
    /// Whether it is a guess, and not known from an earlier start.
    var isPredicted = false
    /// Requests for them that failed.
    var attempts = 0
    var notBefore = MonotonicTime(nanoseconds: 0)
}

/// A layer that is to become complete.
struct FillEntry: Sendable {
    let layer: LayerID
    /// Everything before was present, in flight or given up when fill went over it.
    var cursor = 0
    /// Whether something that fill went over has come back since, so that it has to go over the layer again.
    var hasHoles = false
    var failures = 0
    /// Whether it waits for no reader: the image is here before waiting would have paid.
    let isEager: Bool
    /// When it was asked for, and until when it waits for a first demand.
    let since: MonotonicTime
    let delayedUntil: MonotonicTime
    var notBefore = MonotonicTime(nanoseconds: 0)

    /// The earliest time of its next request, if a reader was last served then.
    func earliest(_ lastServed: MonotonicTime?) -> MonotonicTime {
        if let lastServed, lastServed > since { return notBefore }
        return max(notBefore, delayedUntil)
    }
}

/// A request under way.
struct Request: Sendable {
    let id: RequestID
    let layer: LayerID
    let startedAs: FetchClass
    var fetchClass: FetchClass
    /// What has not been taken yet, in the order in which it comes.
    var rest: [Range<Int>]
    /// Taken, its bytes arriving.
    var current: Int?
    /// Bytes that were asked for; held against the limit of the class until the request ends.
    let bytes: UInt64
    /// Of them, those whose extents have not been taken.
    var bytesLeft: UInt64
    let startedAt: MonotonicTime
    /// Whether anything of the answer has been seen.
    var isAnswered = false
    let attempts: Int
    /// Whether what it brings is a guess; see ``BackgroundEntry/isPredicted``.
    let isPredicted: Bool
    /// Whether it stands back for readers, if it is of class fill.
    let mayPause: Bool
    var pausedSince: MonotonicTime?
    /// What a starving fill may still take before it pauses again.
    var trickle: UInt64 = 0

    /// The next extent, or `nil` when all have been taken.
    var next: Int? { rest.first?.lowerBound }

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
