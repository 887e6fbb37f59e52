import Base

/// How fast the link is, from what requests tell about it: bytes a second, and how long an answer takes.
///
/// Both follow what was seen last: a link's rate changes within an hour by two orders of magnitude.
struct LinkPace: Sendable {
    /// Bytes are added up over at least this many nanoseconds; a longer silence begins a new sum.
    private static let window: UInt64 = 50_000_000

    /// Bytes a second; 0 when nothing has been measured yet.
    private(set) var rate: Double = 0
    /// Nanoseconds from a request to the head of its answer; 0 when none has been seen.
    private(set) var delay: Double = 0
    private var since: MonotonicTime?
    private var last = MonotonicTime(nanoseconds: 0)
    private var bytes: UInt64 = 0

    /// The head of an answer has come.
    mutating func answered(after nanoseconds: UInt64, _ now: MonotonicTime) {
        delay = delay == 0 ? Double(nanoseconds) : delay * 0.75 + Double(nanoseconds) * 0.25
        if since == nil { restart(now) }
    }

    /// Bytes of bodies have come, on whatever connection.
    mutating func arrived(_ count: UInt64, _ now: MonotonicTime) {
        defer { last = now }
        // Between bursts of requests the link is idle, which says nothing about it.
        guard let since, now.since(last) < 4 * Self.window else {
            restart(now)
            return
        }
        bytes &+= count
        let elapsed = now.since(since)
        guard elapsed >= Self.window else { return }
        let seen = Double(bytes) * 1e9 / Double(elapsed)
        rate = rate == 0 ? seen : rate * 0.6 + seen * 0.4
        restart(now)
    }

    private mutating func restart(_ now: MonotonicTime) {
        since = now
        last = now
        bytes = 0
    }

    /// What the link carries while a request is answered, with something to spare.
    var bytesWhileAnswering: UInt64 {
        let product = rate * delay * 1.5 / 1e9
        return product.isFinite && product < 1e12 ? UInt64(product) : 0
    }
}
