import Base

/// The share of their limits that read-ahead and fill may use. It shrinks while the registry answers demands late.
///
/// On the link, bytes of read-ahead and fill are queued in front of a reader's bytes. This delays the head of the
/// answer to a demand. The throttle compares the average answer time of the latest demands with a threshold: 1.5 times
/// the shortest recent answer time, plus 5 ms. Above the threshold, the throttle halves the share, and waits at least
/// the shortest recent answer time before it halves the share again. Below the threshold, each answered demand adds an
/// eighth to the share.
///
/// Hints keep their limits, because readers will demand their bytes next: serving one reader first only makes the next
/// one wait. With throttled hints, numpy's start on the bench network `wan` (50 ms, 100 Mbit/s) took 2.86 s instead of
/// 2.77 s.
struct BackgroundThrottle: Sendable {
    /// The smallest share. It is also the step by which the share grows.
    private static let step = 1.0 / 8
    /// The extra delay that counts as normal variation, in nanoseconds.
    private static let slack = 5_000_000.0
    /// The time without an answered demand after which the share is 1 again, in nanoseconds.
    private static let memory: UInt64 = 1_000_000_000

    private var share = 1.0
    /// The average of the latest answer times, in nanoseconds.
    private var recent = 0.0
    private var last = MonotonicTime(nanoseconds: 0)
    private var lastCut = MonotonicTime(nanoseconds: 0)
    /// The shortest recent answer time, in nanoseconds.
    private var shortest = RecentExtreme(isMaximum: false)

    /// Records that the head of the answer to a demand arrived `nanoseconds` after the request. Returns true if this
    /// call halved the share.
    mutating func answered(after nanoseconds: UInt64, _ now: MonotonicTime) -> Bool {
        if now.since(last) >= Self.memory { (share, recent) = (1, 0) }
        last = now
        shortest.note(Double(nanoseconds), now)
        recent = recent == 0 ? Double(nanoseconds) : (recent + Double(nanoseconds)) / 2
        let least = shortest.value ?? 0
        guard recent > least * 1.5 + Self.slack else {
            share = min(1, share + Self.step)
            return false
        }
        guard Double(now.since(lastCut)) >= least else { return false }
        share = max(Self.step, share / 2)
        lastCut = now
        return true
    }

    /// Returns the current share, from an eighth to 1.
    func share(_ now: MonotonicTime) -> Double {
        now.since(last) >= Self.memory ? 1 : share
    }
}
