/// Time limits on the progress of a request. There is no limit for a whole body: a large body may take any time, as
/// long as bytes keep arriving.
public struct RegistryTimeouts: Sendable, Hashable {
    /// The time limit for establishing a connection, including its TLS handshake. `dial_timeout` of `hosts.toml`
    /// overrides it.
    public var connect: Duration = .seconds(5)
    /// The time that the server has to respond, in addition to ``connect``. A request fails if the head of its response
    /// does not arrive in time. The limit is ``connect`` + ``firstByte`` + one second for each 256 KiB of the request's
    /// body. The limit includes the wait for a free connection.
    public var firstByte: Duration = .seconds(20)
    /// The maximum time without new bytes while a response arrives. If ``firstByte`` is longer, the client uses
    /// ``firstByte`` instead.
    public var stall: Duration = .seconds(20)
    /// The time limit for one run of a credential helper.
    public var helper: Duration = .seconds(10)

    public init() {}
}
