import Base

/// The recorded start that a layer's image is repeating.
///
/// While it lasts, hints already fetch everything that the start reads. So nearby fill skips the layer, and read-ahead
/// follows only reads of missing extents.
struct KnownStart: Sendable {
    /// The number of unexpected reads after which the container evidently runs something else.
    private static let tolerance = 16

    private var hint: HintSource?
    private var end = MonotonicTime(nanoseconds: 0)
    private var surprises = 0

    /// Returns the source of the recorded start; `nil` once it has ended, or if the reads do not match it.
    func source(_ now: MonotonicTime) -> HintSource? {
        now < end && surprises < Self.tolerance ? hint : nil
    }

    /// Begins the start, or extends it until `end`. After its end a new start may begin: another image may share the
    /// layer.
    mutating func begin(_ source: HintSource, until end: MonotonicTime, at now: MonotonicTime) {
        if now >= self.end { (hint, surprises) = (nil, 0) }
        hint = hint.map { max($0, source) } ?? source
        self.end = end
    }

    /// Records a read that the recorded start did not make.
    mutating func recordSurprise() { surprises += 1 }
}
