import Base
import Logging

/// Connections that are there before anybody asks for anything.
extension RegistryClient {
    /// Opens connections to the host that would be asked first for images of `upstream`, and to the storage that it last
    /// redirected to, unless requests of late have left some open: the first image that is asked for within a minute is spared
    /// the round trips of connecting, one for TCP and one or two for TLS.
    ///
    /// Does not wait for them, sends no request, and throws nothing: what is wrong is told to who asks for something.
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
                "no connection is made ready", metadata: ["registry": "\(upstream)", "error": "\(error)"])
        }
    }
}
