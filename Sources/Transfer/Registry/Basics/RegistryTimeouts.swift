/// Time limits on the progress of a request. There is no limit for a whole body: a large body may take any time, as
/// long as bytes keep arriving.
public struct RegistryTimeouts: Sendable, Hashable {
    /// The longest time to establish a connection, including its TLS handshake. `dial_timeout` of `hosts.toml`
    /// overrides it.
    public var connect: Duration = .seconds(5)
    /// The longest time from sending a request to the first byte of the response.
    public var firstByte: Duration = .seconds(20)
    /// The longest time between two pieces of a body. If ``firstByte`` is longer than this limit, ``firstByte`` applies
    /// instead.
    public var stall: Duration = .seconds(20)
    /// The time limit for one run of a credential helper.
    public var helper: Duration = .seconds(10)

    public init() {}
}
