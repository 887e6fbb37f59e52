public import Base

/// Decides when a failed request is tried again, and where. Pure: told what happened and when, says what to do.
public struct RetrySchedule {
    public enum Decision: Equatable {
        /// Try host number `index` (in the order given) after a wait.
        case tryHost(Int, after: Duration)
        /// Report this error.
        case giveUp(RegistryError)

        public static func == (left: Decision, right: Decision) -> Bool {
            switch (left, right) {
            case (.tryHost(let a, let b), .tryHost(let c, let d)): a == c && b == d
            case (.giveUp(let a), .giveUp(let b)): a.code == b.code && a.message == b.message
            default: false
            }
        }
    }

    public enum BodyDecision: Equatable {
        case retry(after: Duration)
        case giveUp
    }

    private let policy: RetryPolicy
    private let priority: RequestPriority
    private var started: MonotonicTime
    private var round = 0
    /// Hosts of this round that have not been tried.
    private var untried: ArraySlice<Int> = []
    private var failures: [(host: Int, error: RegistryError)] = []

    public init(_ policy: RetryPolicy, priority: RequestPriority, now: MonotonicTime) {
        self.policy = policy
        self.priority = priority
        started = now
    }

    /// There are so many hosts; the first one is tried first. Every host gets its turn before one gets a second.
    public mutating func begin(hosts: Int) -> Int? {
        untried = Array(0..<hosts)[...]
        failures = []
        return untried.popFirst()
    }

    /// `host` has failed: the next host if there is one left in this round, else another round with those hosts that may
    /// recover, else the error that tells most.
    public mutating func failed(_ error: RegistryError, host: Int, now: MonotonicTime, random: Double) -> Decision {
        failures.append((host, error))
        if error.code == .cancelled || error.code == .shutDown { return .giveUp(error) }
        if let next = untried.popFirst() { return .tryHost(next, after: .zero) }

        let told = mostTelling()
        let recovering = failures.filter { $0.error.isTransient }
        // The scheduler of background work wants to hear "leave me alone" and back off as a whole.
        let mayRetry = priority == .demand || told.code != .rateLimited
        guard let first = recovering.first, mayRetry, round + 1 < policy.rounds else { return .giveUp(told) }
        var delay = backOff(random: random)
        // With several hosts it is enough that one of them is ready again.
        if let asked = recovering.map({ $0.error.retryAfter ?? .zero }).min(), asked > .zero {
            guard asked <= policy.maximumRetryAfter else { return .giveUp(told) }
            delay = max(delay, asked)
        }
        guard started.duration(to: now) + delay <= policy.budget else { return .giveUp(told) }
        round += 1
        failures = []
        untried = recovering.dropFirst().map(\.host)[...]
        return .tryHost(first.host, after: delay)
    }

    /// A body broke after its head had arrived.
    public mutating func bodyBroke(now: MonotonicTime, random: Double) -> BodyDecision {
        guard round + 1 < policy.rounds else { return .giveUp }
        // The first time at once: nearly always it was this connection, not the server.
        let delay: Duration = round == 0 ? .zero : backOff(random: random)
        guard started.duration(to: now) + delay <= policy.budget else { return .giveUp }
        round += 1
        return .retry(after: delay)
    }

    /// Bytes have arrived: the budget begins anew.
    public mutating func madeProgress(now: MonotonicTime) {
        round = 0
        started = now
    }

    /// Exponential, between half and all of it, so that many clients do not come back together.
    private func backOff(random: Double) -> Duration {
        let doubled = policy.baseDelay * (1 << min(round, 20))
        let half = min(doubled, policy.maximumDelay) / 2
        return half + half * random
    }

    /// A throttle first (the caller can act on it), then what the upstream, the last host, said, unless it is only that
    /// the thing is not there while another host had trouble giving it.
    private func mostTelling() -> RegistryError {
        let errors = failures.map(\.error)
        if let throttled = errors.first(where: { $0.code == .rateLimited }) { return throttled }
        if let last = errors.last, last.code != .notFound { return last }
        return errors.last { $0.code != .notFound } ?? errors.last
            ?? RegistryError(.notFound, "no host to ask")
    }
}
