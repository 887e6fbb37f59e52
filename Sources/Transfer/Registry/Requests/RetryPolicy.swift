/// Limits on repeating a failed request.
public struct RetryPolicy: Sendable, Hashable {
    /// The number of rounds over all usable hosts, the first one included.
    public var rounds = 5
    /// The wait before the second round; doubled for each further one, and jittered.
    public var baseDelay: Duration = .milliseconds(100)
    /// The longest wait of our own choosing.
    public var maximumDelay: Duration = .seconds(5)
    /// The longest wait that a server may impose with Retry-After; a longer one is reported instead of obeyed.
    public var maximumRetryAfter: Duration = .seconds(30)
    /// The latest start of a try, counted from the first one.
    public var budget: Duration = .seconds(60)

    public init() {}
}
