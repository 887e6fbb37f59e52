import GRPCNIOTransportHTTP2

extension HTTP2ClientTransport.Posix {
    /// To a container runtime's unix socket.
    init(containerRuntime socket: String) throws {
        try self.init(
            // Go's gRPC servers refuse the percent-encoded path that would stand here otherwise.
            target: .unixDomainSocket(path: socket, authority: "localhost"), transportSecurity: .plaintext)
    }
}
