import Base

/// How fast the link is, from what requests tell about it: bytes a second, and how long an answer takes.
///
/// Both follow what was seen last: a link's rate changes within an hour by two orders of magnitude.
struct LinkEstimate: Sendable {
    /// Bytes are added up over at least this many nanoseconds; a longer silence begins a new sum.
    private static let window: UInt64 = 50_000_000

    /// Bytes a second; 0 when nothing has been measured yet.
    private(set) var rate: Double = 0
    /// Nanoseconds from a request to the head of its answer; 0 when none has been seen.
    private(set) var delay: Double = 0
    /// The most that the link has carried of late, in bytes a second: ``rate`` is also low when little is asked for.
    private var highest = RecentExtreme(isMaximum: true)
    /// The least that an answer has taken of late, in nanoseconds: ``delay`` is also high when others are in the way.
    private var shortest = RecentExtreme(isMaximum: false)
    private var since: MonotonicTime?
    private var last = MonotonicTime(nanoseconds: 0)
    private var bytes: UInt64 = 0

    /// The head of an answer has come.
    mutating func answered(after nanoseconds: UInt64, _ now: MonotonicTime) {
        delay = delay == 0 ? Double(nanoseconds) : delay * 0.75 + Double(nanoseconds) * 0.25
        shortest.note(Double(nanoseconds), now)
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
        highest.note(rate, now)
        restart(now)
    }

    private mutating func restart(_ now: MonotonicTime) {
        since = now
        last = now
        bytes = 0
    }

    /// What the link carries while a request is answered, with something to spare.
    var bytesWhileAnswering: UInt64 { Self.bytes(rate * delay * 1.5) }

    /// What the link carries while a request is answered that has it for itself.
    var bytesInRoundTrip: UInt64 { Self.bytes(highestRate * shortestDelay) }

    /// The least that an answer has taken of late, in nanoseconds; 0 when none has been seen.
    var shortestDelay: Double { shortest.value ?? 0 }

    /// The most that the link has carried of late, in bytes a second; 0 when nothing has been measured yet.
    var highestRate: Double { highest.value ?? 0 }

    private static func bytes(_ product: Double) -> UInt64 {
        let bytes = product / 1e9
        return bytes.isFinite && bytes >= 0 && bytes < 1e12 ? UInt64(bytes) : 0
    }
}

/// The largest or smallest of the values of the last half to whole minute.
struct RecentExtreme: Sendable {
    private static let period: UInt64 = 30_000_000_000

    private let isMaximum: Bool
    private var current: Double?
    private var before: Double?
    private var begun = MonotonicTime(nanoseconds: 0)

    init(isMaximum: Bool) {
        self.isMaximum = isMaximum
    }

    mutating func note(_ value: Double, _ now: MonotonicTime) {
        let elapsed = now.since(begun)
        if elapsed >= Self.period {
            before = elapsed < 2 * Self.period ? current : nil
            current = nil
            begun = now
        }
        current = current.map { better($0, value) } ?? value
    }

    /// `nil` before the first one.
    var value: Double? {
        guard let current else { return before }
        return before.map { better($0, current) } ?? current
    }

    private func better(_ left: Double, _ right: Double) -> Double {
        isMaximum ? max(left, right) : min(left, right)
    }
}
