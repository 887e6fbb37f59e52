import Base
import Concurrency

/// The hosts that recently failed. The client tries such a host last for a while. So a dead mirror costs its timeout
/// once, not with each request. The type performs no I/O and reads no clock.
struct HostHealth {
    private struct Trouble {
        var failures: Int
        var until: MonotonicTime
    }

    /// The time for which the client tries a host last after the host's first failure. Each further failure doubles
    /// this time, up to ``longest``.
    private static let shortest: Duration = .seconds(2)
    private static let longest: Duration = .seconds(60)

    private var troubles = BoundedCache<String, Trouble>(capacity: 1024)

    /// Records that `host` refused the connection or did not answer.
    mutating func failed(_ host: String, now: MonotonicTime) {
        let failures = min((troubles[host]?.failures ?? 0) + 1, 10)
        let pause = min(Self.shortest * (1 << (failures - 1)), Self.longest)
        troubles[host] = Trouble(failures: failures, until: now.advanced(by: pause))
    }

    mutating func succeeded(_ host: String) {
        troubles[host] = nil
    }

    func isInTrouble(_ host: String, now: MonotonicTime) -> Bool {
        guard let trouble = troubles.peek(host) else { return false }
        return now < trouble.until
    }
}
