import Base
import Logging

/// Connections that the client opens before a request needs them.
extension RegistryClient {
    /// Opens connections to the first host of `upstream`, and to the storage server to which this host last redirected.
    ///
    /// The first requests of a later image then save the round trips of connecting: one for TCP, and one or two for
    /// TLS. The method skips a server that the client used within the last minute, because a connection to it is still
    /// open.
    ///
    /// The method does not wait for the connections, sends no request, and never throws. If the server is unreachable,
    /// the next real request reports the failure.
    public func makeReady(_ upstream: String) async {
        let count = configuration.readyConnections
        guard count > 0, let host = await requester.firstHost(of: upstream) else { return }
        do throws(RegistryError) {
            try requester.transport.connect(count, to: host.base, key: HTTPTransport.Key(host))
            if let target = requester.memory.withLock({ $0.target(of: host.base) }) {
                try requester.transport.connect(count, to: target, key: HTTPTransport.Key(targetOf: host))
            }
        } catch {
            requester.logger.debug(
                "failed to open connections ahead", metadata: ["registry": "\(upstream)", "error": "\(error)"])
        }
    }
}
