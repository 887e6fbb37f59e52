import Base

/// A container start that repeats an earlier, recorded start of the same image. Each layer of the image has its own
/// ``KnownStart``.
///
/// During such a start, hints already fetch everything that the container reads. So ``NearbyFill`` skips the layer, and
/// only reads of missing extents cause read-ahead.
struct KnownStart: Sendable {
    /// The number of unexpected reads (see ``recordSurprise()``) after which the planner assumes that the container
    /// does not repeat the recorded start.
    private static let tolerance = 16

    private var hint: HintSource?
    private var end = MonotonicTime(nanoseconds: 0)
    private var surprises = 0

    /// Returns the source of the hint that describes the recorded start. Returns `nil` if no such start is in progress,
    /// or if there were too many unexpected reads.
    func source(_ now: MonotonicTime) -> HintSource? {
        now < end && surprises < Self.tolerance ? hint : nil
    }

    /// Records that a start is in progress at the time `now`, and lasts until `end`. If an earlier call's start is
    /// still in progress at `now`, it is the same start: its count of unexpected reads stays, and only its end moves.
    ///
    /// - Parameter source: the source of the hint that describes the recorded start. A start that is already in
    ///   progress keeps its own source if that source is more trusted.
    mutating func begin(_ source: HintSource, until end: MonotonicTime, at now: MonotonicTime) {
        if now >= self.end { (hint, surprises) = (nil, 0) }
        hint = hint.map { max($0, source) } ?? source
        self.end = end
    }

    /// Records an unexpected read: a demand for a missing extent that no request for a prediction is fetching. The read
    /// counts even if a request for another kind of hint is fetching the extent.
    mutating func recordSurprise() { surprises += 1 }
}
