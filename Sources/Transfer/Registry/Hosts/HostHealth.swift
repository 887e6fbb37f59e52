import Base

/// Which hosts could not be reached lately: they are tried last, so that a dead mirror costs its timeout once and not with
/// each request. Pure.
struct HostHealth {
    private struct Trouble {
        var failures: Int
        var until: MonotonicTime
    }

    /// Passed over for so long after the first failure; doubled with each further one.
    private static let shortest: UInt64 = 2_000_000_000
    private static let longest: UInt64 = 60_000_000_000

    private var troubles: [String: Trouble] = [:]

    /// No connection to `host`, or no answer from it.
    mutating func failed(_ host: String, now: MonotonicTime) {
        let failures = min((troubles[host]?.failures ?? 0) + 1, 10)
        let pause = min(Self.shortest << UInt64(failures - 1), Self.longest)
        troubles[host] = Trouble(failures: failures, until: now.advanced(by: pause))
    }

    mutating func succeeded(_ host: String) {
        troubles[host] = nil
    }

    func isInTrouble(_ host: String, now: MonotonicTime) -> Bool {
        guard let trouble = troubles[host] else { return false }
        return now < trouble.until
    }
}
