import Base

/// The recorded start that a layer's image is repeating.
///
/// While it lasts nothing is guessed about the layer: everything that the start reads is on its way.
struct KnownStart: Sendable {
    /// Unexpected reads after which the container evidently runs something else.
    private static let tolerance = 16

    private var hint: HintSource?
    private var end = MonotonicTime(nanoseconds: 0)
    private var surprises = 0

    /// The source of the recorded start, as long as it lasts and the reads match it.
    func source(_ now: MonotonicTime) -> HintSource? {
        now < end && surprises < Self.tolerance ? hint : nil
    }

    /// Begins or prolongs the start. Another image may share the layer and start later.
    mutating func begin(_ source: HintSource, until end: MonotonicTime, at now: MonotonicTime) {
        if now >= self.end { (hint, surprises) = (nil, 0) }
        hint = hint.map { max($0, source) } ?? source
        self.end = end
    }

    /// Records a read that the recorded start did not make.
    mutating func recordSurprise() { surprises += 1 }
}
