/// Limits on repeating a failed request.
public struct RetryPolicy: Sendable, Hashable {
    /// The maximum number of rounds, including the first. The first round tries every usable host once. A further round
    /// tries only the hosts that failed with a transient error (``RegistryError/isTransient``).
    public var rounds = 5
    /// The longest wait before the second round. The limit doubles for each further round. The actual wait is random,
    /// between half of the limit and the limit.
    public var baseDelay: Duration = .milliseconds(100)
    /// The value at which the doubling of ``baseDelay`` stops. If the server asks for a longer wait,
    /// ``maximumRetryAfter`` applies.
    public var maximumDelay: Duration = .seconds(5)
    /// The longest wait that the client accepts from a server (Retry-After). If the server asks for a longer wait, the
    /// client reports the error instead.
    public var maximumRetryAfter: Duration = .seconds(30)
    /// The time limit for starting another round, counted from the first attempt. While a body arrives, the limit
    /// counts from the last received bytes instead.
    public var budget: Duration = .seconds(60)

    public init() {}
}
