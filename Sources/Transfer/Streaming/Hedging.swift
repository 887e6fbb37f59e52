import Base

/// When a reader's request is late, and whether a second one may be made for the same bytes.
///
/// A request is late when it has not begun to be answered after nineteen of twenty have been. Those that hang altogether (a
/// connection that a middlebox has forgotten, a server that is being replaced) then cost a round trip instead of a timeout.
struct Hedging {
    /// Answers that are remembered, and how many must be before it is known what is late.
    private static let memory = 64
    private static let enough = 20
    /// Of a hundred requests so many may be made twice: their bytes are the most that it costs.
    private static let share = 0.05
    /// Second requests that may be saved up for when many are late together.
    private static let saved = 2.0
    /// Never sooner than this, in nanoseconds: on a fast link chance alone is late.
    private static let leastPatience: UInt64 = 50_000_000

    private var delays: [UInt64] = []
    private var next = 0
    private var allowance = 0.0

    /// A request is made.
    mutating func asked() {
        allowance = min(allowance + Self.share, Self.saved)
    }

    /// The first bytes of its answer came after so many nanoseconds.
    mutating func answered(after delay: UInt64) {
        if delays.count < Self.memory {
            delays.append(delay)
        } else {
            delays[next] = delay
        }
        next = (next + 1) % Self.memory
    }

    /// After how many nanoseconds a request is late; `nil` while that is not known.
    var patience: UInt64? {
        guard delays.count >= Self.enough else { return nil }
        return max(Self.leastPatience, delays.sorted()[delays.count * 95 / 100])
    }

    /// Whether a second request may be made now; it is counted.
    mutating func mayRepeat() -> Bool {
        guard allowance >= 1 else { return false }
        allowance -= 1
        return true
    }
}
