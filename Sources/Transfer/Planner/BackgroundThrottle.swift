import Base

/// A throttle for the classes read-ahead and fill. While a registry answers demands late, the throttle reduces the
/// request limit and the byte limit of both classes to a share of their full values.
///
/// Bytes of read-ahead and fill that are queued on the link delay the answer to a demand. The answer time of a demand
/// runs from its request to the head of the answer. The throttle compares the average answer time of the latest demands
/// with a threshold: 1.5 times the shortest recent answer time, plus 5 ms. Above the threshold, the throttle halves the
/// share, and waits at least the shortest recent answer time before it halves the share again. Below the threshold,
/// each answered demand adds an eighth to the share.
///
/// The throttle does not apply to hints, because readers will soon demand the hinted bytes. Serving one reader first
/// would only delay the next reader. When hints were throttled on the bench network `wan` (50 ms, 100 Mbit/s), numpy's
/// start took 2.86 s instead of 2.77 s.
struct BackgroundThrottle: Sendable {
    /// The smallest share to which the throttle reduces the limits of read-ahead and fill. The share also grows by this
    /// step.
    private static let step = 1.0 / 8
    /// The constant part of the threshold for late answers, in nanoseconds. It allows for normal variation of the
    /// answer time.
    private static let slack = 5_000_000.0
    /// The time without an answered demand, in nanoseconds, after which read-ahead and fill have their full limits
    /// again.
    private static let memory: UInt64 = 1_000_000_000

    private var share = 1.0
    /// The average answer time of the latest demands, in nanoseconds.
    private var recent = 0.0
    private var last = MonotonicTime(nanoseconds: 0)
    private var lastCut = MonotonicTime(nanoseconds: 0)
    /// The shortest recent answer time of a demand, in nanoseconds.
    private var shortest = RecentExtreme(isMaximum: false)

    /// Records the answer time of a demand: the head of the answer arrived `nanoseconds` after the request. Then
    /// adjusts the share. Returns true if this call halved the share.
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

    /// Returns the share of the full limits of read-ahead and fill that both classes may use now, from 1/8 to 1.
    func share(_ now: MonotonicTime) -> Double {
        now.since(last) >= Self.memory ? 1 : share
    }
}
