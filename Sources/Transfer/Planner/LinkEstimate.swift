import Base

/// The rate and the answer time of the link to the registries, estimated from the progress of requests. The answer time
/// runs from a request to the head of its answer.
///
/// Both estimates follow the latest measurements, because a link can change by two orders of magnitude within an hour.
struct LinkEstimate: Sendable {
    /// The shortest duration of one rate measurement, in nanoseconds. If no bytes arrive for four times this duration,
    /// the link was idle, and a new measurement begins.
    private static let window: UInt64 = 50_000_000

    /// The average rate, in bytes per second; 0 before the first measurement.
    private(set) var rate: Double = 0
    /// The average time from a request to the head of its answer, in nanoseconds; 0 before the first answer.
    private(set) var delay: Double = 0
    /// The highest recent ``rate``, in bytes per second. It does not fall when the planner requests only a few bytes.
    private var highest = RecentExtreme(isMaximum: true)
    /// The shortest recent answer time, in nanoseconds. Unlike ``delay``, it does not rise when requests queue behind
    /// each other.
    private var shortest = RecentExtreme(isMaximum: false)
    private var since: MonotonicTime?
    private var last = MonotonicTime(nanoseconds: 0)
    private var bytes: UInt64 = 0

    /// Records that the head of an answer arrived `nanoseconds` after its request.
    mutating func answered(after nanoseconds: UInt64, _ now: MonotonicTime) {
        delay = delay == 0 ? Double(nanoseconds) : delay * 0.75 + Double(nanoseconds) * 0.25
        shortest.note(Double(nanoseconds), now)
        if since == nil { restart(now) }
    }

    /// Records that `count` bytes of response bodies have arrived on any connection.
    mutating func arrived(_ count: UInt64, _ now: MonotonicTime) {
        defer { last = now }
        // The link was idle between two bursts of requests, which says nothing about its rate.
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

    /// The number of bytes that the link carries in one and a half times the average answer time (``delay``).
    var bytesWhileAnswering: UInt64 { Self.bytes(rate * delay * 1.5) }

    /// The number of bytes that an otherwise idle link carries in one round trip.
    var bytesInRoundTrip: UInt64 { Self.bytes(highestRate * shortestDelay) }

    /// The shortest recent answer time, in nanoseconds; 0 before the first answer.
    var shortestDelay: Double { shortest.value ?? 0 }

    /// The highest recent rate, in bytes per second; 0 before the first measurement.
    var highestRate: Double { highest.value ?? 0 }

    private static func bytes(_ product: Double) -> UInt64 {
        let bytes = product / 1e9
        return bytes.isFinite && bytes >= 0 && bytes < 1e12 ? UInt64(bytes) : 0
    }
}

/// The largest or smallest of the recent measurements of one quantity, such as the link's rate or an answer time.
///
/// Time is divided into periods of at least 30 seconds. The type stores the largest or smallest measurement of the
/// current period, and that of the previous period. So a measurement counts for at least 30 seconds. It stops counting,
/// at the latest, when a measurement is added that was made 90 seconds later.
struct RecentExtreme: Sendable {
    /// The minimum duration of a period, in nanoseconds. The first measurement after this duration begins the next
    /// period.
    private static let period: UInt64 = 30_000_000_000

    private let isMaximum: Bool
    /// The largest or smallest measurement of the current period; `nil` before the first measurement.
    private var current: Double?
    /// The largest or smallest measurement of the previous period. `nil` if there is no previous period. Also `nil` if
    /// the previous period began at least 60 seconds before the current period, because its measurements are then too
    /// old.
    private var before: Double?
    /// The time of the first measurement of the current period.
    private var begun = MonotonicTime(nanoseconds: 0)

    /// Creates a value without measurements. It keeps the largest measurement if `isMaximum` is true, and the smallest
    /// if `isMaximum` is false.
    init(isMaximum: Bool) {
        self.isMaximum = isMaximum
    }

    /// Adds a measurement, made at the time `now`.
    mutating func note(_ value: Double, _ now: MonotonicTime) {
        let elapsed = now.since(begun)
        if elapsed >= Self.period {
            before = elapsed < 2 * Self.period ? current : nil
            current = nil
            begun = now
        }
        current = current.map { better($0, value) } ?? value
    }

    /// The largest or smallest recent measurement; `nil` before the first one.
    var value: Double? {
        guard let current else { return before }
        return before.map { better($0, current) } ?? current
    }

    private func better(_ left: Double, _ right: Double) -> Double {
        isMaximum ? max(left, right) : min(left, right)
    }
}
