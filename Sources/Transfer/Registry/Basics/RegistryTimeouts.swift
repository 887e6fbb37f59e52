/// Deadlines on progress. There is none on a whole body: a large one may take as long as it moves.
public struct RegistryTimeouts: Sendable, Hashable {
    /// The longest that making a connection with its TLS handshake takes. `dial_timeout` of `hosts.toml` overrides it.
    public var connect: Duration = .seconds(5)
    /// The longest from sending a request to the first byte of the answer.
    public var firstByte: Duration = .seconds(20)
    /// The longest between two pieces of a body.
    public var stall: Duration = .seconds(20)
    /// The longest run of a credential helper.
    public var helper: Duration = .seconds(10)

    public init() {}
}
