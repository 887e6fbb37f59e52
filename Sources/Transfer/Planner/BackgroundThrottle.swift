import Base

/// How much of their room readahead and fill have: less as long as demand is answered later than it could be.
///
/// What is in flight for them lies before a reader's bytes in the queues of the link, which shows in how
/// long the head of a demand's answer takes. When that grows past one and a half times the least that was seen of late, the room is halved,
/// once in a round trip; otherwise it grows back by an eighth with each demand.
///
/// Profiles and predictions keep their room: what they bring are the demands to come, and a reader who is served before them makes the
/// next one wait. With them, too, cut back, numpy's start on wan took 2.86 s instead of 2.77 s.
struct BackgroundThrottle: Sendable {
    /// The room never becomes less than this part of itself.
    private static let least = 1.0 / 8
    /// Nanoseconds that an answer may take longer in any case: less is chance.
    private static let slack = 5_000_000.0
    /// Nanoseconds after which it is forgotten: nobody has been kept waiting.
    private static let memory: UInt64 = 1_000_000_000

    private var share = 1.0
    /// What the last answers have taken, in nanoseconds.
    private var recent = 0.0
    private var last = MonotonicTime(nanoseconds: 0)
    private var lastCut = MonotonicTime(nanoseconds: 0)
    /// The least that an answer has taken of late, in nanoseconds.
    private var shortest = RecentExtreme(isMaximum: false)

    /// The head of a demand's answer has come. Gives whether the room was halved.
    mutating func answered(after nanoseconds: UInt64, _ now: MonotonicTime) -> Bool {
        if now.since(last) >= Self.memory { (share, recent) = (1, 0) }
        last = now
        shortest.note(Double(nanoseconds), now)
        recent = recent == 0 ? Double(nanoseconds) : (recent + Double(nanoseconds)) / 2
        let least = shortest.value ?? 0
        guard recent > least * 1.5 + Self.slack else {
            share = min(1, share + Self.least)
            return false
        }
        guard Double(now.since(lastCut)) >= least else { return false }
        share = max(Self.least, share / 2)
        lastCut = now
        return true
    }

    /// The part of their room that they have now, from an eighth to 1.
    func share(_ now: MonotonicTime) -> Double {
        now.since(last) >= Self.memory ? 1 : share
    }
}
