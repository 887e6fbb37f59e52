import Base
import Logging

/// Connections opened ahead of demand.
extension RegistryClient {
    /// Opens connections to the first host of `upstream`, and to the storage server that this host last redirected to.
    ///
    /// A later image then saves the round trips of connecting: one for TCP, and one or two for TLS. The method opens
    /// nothing to a server that had a request within the last minute, because that request left a connection open.
    ///
    /// It returns without waiting, sends no request, and never throws. A failure shows up in the next real request.
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
