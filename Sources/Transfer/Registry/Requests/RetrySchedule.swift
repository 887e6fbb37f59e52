public import Base

/// The retry decisions for one request: when to try again, and at which host. The type is pure: it takes events with
/// their times and returns decisions. The first *round* tries each host once. A further round tries only the hosts that
/// failed with a transient error.
public struct RetrySchedule {
    public enum Decision: Equatable {
        /// Try the host with this index in the caller's list, after the given wait.
        case tryHost(Int, after: Duration)
        /// Report this error to the caller.
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
    /// The indexes of the hosts that this round has not tried yet.
    private var untried: ArraySlice<Int> = []
    private var failures: [(host: Int, error: RegistryError)] = []

    public init(_ policy: RetryPolicy, priority: RequestPriority, now: MonotonicTime) {
        self.policy = policy
        self.priority = priority
        started = now
    }

    /// Starts the first round, and returns the index of the first host to try, or `nil` if there is no host.
    ///
    /// - Parameter hosts: the number of hosts in the caller's list.
    public mutating func begin(hosts: Int) -> Int? {
        untried = Array(0..<hosts)[...]
        failures = []
        return untried.popFirst()
    }

    /// Records a failure of `host` and decides what to do next.
    ///
    /// The schedule first tries the other hosts of this round. It then starts another round with the hosts that failed
    /// with a transient error, if there are any and the policy permits another round. A background request gets no
    /// further round after throttling.
    ///
    /// When the schedule gives up, it reports throttling if a host throttled us, else the last host's error. If that
    /// error is `notFound`, an error with another code takes precedence. After `cancelled` or `shutDown`, the schedule
    /// gives up at once with that error.
    ///
    /// - Parameters:
    ///   - host: the index of the host that failed.
    ///   - random: a number in 0..<1, for jitter.
    public mutating func failed(_ error: RegistryError, host: Int, now: MonotonicTime, random: Double) -> Decision {
        failures.append((host, error))
        if error.code == .cancelled || error.code == .shutDown { return .giveUp(error) }
        if let next = untried.popFirst() { return .tryHost(next, after: .zero) }

        let told = mostTelling()
        let recovering = failures.filter { $0.error.isTransient }
        // Report throttling of a background request at once, because its caller then slows down all background work.
        let mayRetry = priority == .demand || told.code != .rateLimited
        guard let first = recovering.first, mayRetry, round + 1 < policy.rounds else { return .giveUp(told) }
        var delay = backOff(random: random)
        // Wait only for the host that is ready first.
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

    /// Records that the body of a response broke after the head had arrived, and decides whether to request the rest.
    ///
    /// - Parameter random: a number in 0..<1, for jitter.
    public mutating func bodyBroke(now: MonotonicTime, random: Double) -> BodyDecision {
        guard round + 1 < policy.rounds else { return .giveUp }
        // The first retry is immediate, because nearly always only the connection broke, not the server.
        let delay: Duration = round == 0 ? .zero : backOff(random: random)
        guard started.duration(to: now) + delay <= policy.budget else { return .giveUp }
        round += 1
        return .retry(after: delay)
    }

    /// Restarts the rounds and the time budget, because bytes have arrived.
    public mutating func madeProgress(now: MonotonicTime) {
        round = 0
        started = now
    }

    /// Returns a random wait between half of the exponential delay and the full delay, so that many clients do not
    /// retry at the same time.
    private func backOff(random: Double) -> Duration {
        let doubled = policy.baseDelay * (1 << min(round, 20))
        let half = min(doubled, policy.maximumDelay) / 2
        return half + half * random
    }

    /// Returns the error of this round that helps the caller most. A throttling error takes precedence, because the
    /// caller can react by slowing down. Without throttling, the method returns the last host's error, because that
    /// host is usually the upstream. But if the last host's error is `notFound`, the last error with another code takes
    /// precedence.
    private func mostTelling() -> RegistryError {
        let errors = failures.map(\.error)
        if let throttled = errors.first(where: { $0.code == .rateLimited }) { return throttled }
        if let last = errors.last, last.code != .notFound { return last }
        return errors.last { $0.code != .notFound } ?? errors.last
            ?? RegistryError(.notFound, "no host to ask")
    }
}
