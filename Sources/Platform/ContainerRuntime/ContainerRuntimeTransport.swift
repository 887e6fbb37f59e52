package import GRPCNIOTransportHTTP2

extension HTTP2ClientTransport.Posix {
    /// Creates a transport to a container runtime's unix socket.
    package init(containerRuntime socket: String) throws {
        try self.init(
            // The default authority would be the percent-encoded path, which Go's gRPC servers refuse.
            target: .unixDomainSocket(path: socket, authority: "localhost"), transportSecurity: .plaintext,
            config: .defaults {
                $0.channelDebuggingCallbacks.onCreateTCPConnection = { PingResponder.add(to: $0, as: .client) }
            })
    }
}

extension HTTP2ServerTransport.Config.ChannelDebuggingCallbacks {
    /// The callbacks of a server whose client is a container runtime.
    package static var containerRuntime: Self {
        var callbacks = Self.defaults
        callbacks.onAcceptTCPConnection = { PingResponder.add(to: $0, as: .server) }
        return callbacks
    }
}
