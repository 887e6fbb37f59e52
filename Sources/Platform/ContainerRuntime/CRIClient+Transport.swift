import GRPCNIOTransportHTTP2

extension HTTP2ClientTransport.Posix {
    /// Creates a transport to a container runtime's unix socket.
    init(containerRuntime socket: String) throws {
        try self.init(
            // Go's gRPC servers refuse the percent-encoded path that would be the default.
            target: .unixDomainSocket(path: socket, authority: "localhost"), transportSecurity: .plaintext)
    }
}
