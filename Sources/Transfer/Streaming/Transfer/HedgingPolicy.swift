/// The policy for hedging: if the answer to a reader's request is late, the engine sends the request a second time.
///
/// An answer is late if it has not begun after ``patience``: the 95th percentile of the recent answer times, but at
/// least ``leastPatience``. A request can hang because a middlebox forgot the connection or a server is being replaced.
/// With hedging, such a hang costs ``patience`` and one more answer time instead of a timeout.
struct HedgingPolicy: Sendable {
    /// The number of recent answer times that the policy keeps.
    private static let memory = 64
    /// The number of recorded answer times that the policy needs to compute ``patience``.
    private static let enough = 20
    /// The share of requests that may be sent twice, which limits the extra load.
    private static let share = 0.05
    /// The maximum number of second requests that the policy saves up for a moment when many requests are late.
    private static let saved = 2.0
    /// The minimum of ``patience``, in nanoseconds. On a fast network, a delay shorter than this does not mean that a
    /// request hangs.
    private static let leastPatience: UInt64 = 50_000_000

    private var delays: [UInt64] = []
    private var next = 0
    private var allowance = 0.0

    /// Records a reader's request. Each request adds ``share`` to the budget for second requests.
    mutating func requested() {
        allowance = min(allowance + Self.share, Self.saved)
    }

    /// Records the time to the first bytes of an answer, in nanoseconds.
    mutating func answered(after delay: UInt64) {
        if delays.count < Self.memory {
            delays.append(delay)
        } else {
            delays[next] = delay
        }
        next = (next + 1) % Self.memory
    }

    /// The time after which a request is late, in nanoseconds; `nil` until there are enough answers.
    var patience: UInt64? {
        guard delays.count >= Self.enough else { return nil }
        return max(Self.leastPatience, delays.sorted()[delays.count * 95 / 100])
    }

    /// Returns true if a second request may be sent now. In that case, counts it as sent.
    mutating func mayRepeat() -> Bool {
        guard allowance >= 1 else { return false }
        allowance -= 1
        return true
    }
}
