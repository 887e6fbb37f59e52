import Base
import Logging

/// Connections opened ahead of demand.
extension RegistryClient {
    /// Opens connections to the first host of `upstream` and to the storage that it last redirected to, unless recent
    /// requests have left some open. The first image within a minute then saves the round trips of connecting: one for
    /// TCP, one or two for TLS.
    ///
    /// Returns without waiting, sends no request, and never throws: a failure shows up in the next real request.
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
