/// Limits on repeating a failed request.
public struct RetryPolicy: Sendable, Hashable {
    /// The most rounds over all usable hosts, including the first round.
    public var rounds = 5
    /// The wait before the second round, with jitter. It doubles for each further round.
    public var baseDelay: Duration = .milliseconds(100)
    /// The longest wait that the client chooses itself.
    public var maximumDelay: Duration = .seconds(5)
    /// The longest wait that a server may impose with Retry-After. If it asks for more, the client reports the error
    /// instead.
    public var maximumRetryAfter: Duration = .seconds(30)
    /// The time after the first try within which each further round must start. Each arrival of bytes restarts it.
    public var budget: Duration = .seconds(60)

    public init() {}
}
