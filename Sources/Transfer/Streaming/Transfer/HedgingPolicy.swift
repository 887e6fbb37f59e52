/// The rule for sending a reader's late request a second time.
///
/// A request is late when its answer has not begun after the time in which nineteen of twenty did. A request that hangs
/// (a connection that a middlebox forgot, a server that is being replaced) then costs a round trip instead of a
/// timeout.
struct HedgingPolicy: Sendable {
    /// The number of remembered answer times.
    private static let memory = 64
    /// The number of answers before lateness can be judged.
    private static let enough = 20
    /// The share of requests that may be sent twice: the most extra load.
    private static let share = 0.05
    /// The most second requests that can be saved up for a moment when many are late.
    private static let saved = 2.0
    /// The shortest patience, in nanoseconds: on a fast link a late answer is chance.
    private static let leastPatience: UInt64 = 50_000_000

    private var delays: [UInt64] = []
    private var next = 0
    private var allowance = 0.0

    /// Records a request.
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

    /// The nanoseconds after which a request is late; `nil` before enough answers.
    var patience: UInt64? {
        guard delays.count >= Self.enough else { return nil }
        return max(Self.leastPatience, delays.sorted()[delays.count * 95 / 100])
    }

    /// Returns whether a second request may be sent now, and counts it.
    mutating func mayRepeat() -> Bool {
        guard allowance >= 1 else { return false }
        allowance -= 1
        return true
    }
}
