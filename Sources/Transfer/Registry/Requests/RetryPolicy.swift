/// Limits on repeating a failed request.
public struct RetryPolicy: Sendable, Hashable {
    /// The most rounds, including the first. The first round tries every usable host once, a further round only the
    /// hosts that may recover.
    public var rounds = 5
    /// The wait before the second round, with jitter. It doubles for each further round.
    public var baseDelay: Duration = .milliseconds(100)
    /// The upper limit of the doubled wait.
    public var maximumDelay: Duration = .seconds(5)
    /// The longest wait that the client accepts from a server (Retry-After). If the server asks for a longer wait, the
    /// client reports the error instead.
    public var maximumRetryAfter: Duration = .seconds(30)
    /// The time after the first attempt within which each further round must start. The time restarts whenever bytes
    /// arrive.
    public var budget: Duration = .seconds(60)

    public init() {}
}
