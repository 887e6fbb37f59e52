import GRPCNIOTransportHTTP2

extension HTTP2ClientTransport.Posix {
    /// Creates a transport to a container runtime's unix socket.
    init(containerRuntime socket: String) throws {
        try self.init(
            // The default authority would be the percent-encoded path, which Go's gRPC servers refuse.
            target: .unixDomainSocket(path: socket, authority: "localhost"), transportSecurity: .plaintext)
    }
}
