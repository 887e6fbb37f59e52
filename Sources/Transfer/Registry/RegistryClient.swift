import Base
import Concurrency
public import Logging

/// A client of registries: manifests, ranges of blobs, and pushes.
///
/// A process has one. All images and layers share its connections, tokens, redirects and knowledge of hosts. Mirrors
/// and TLS come from containerd's `hosts.toml` directories, credentials from a ``CredentialSource``. Call
/// ``shutdown()`` before dropping it.
public final class RegistryClient: Sendable {
    let requester: HostRequester
    /// Upstreams that have answered the referrers API.
    private let referrers = Guarded(BoundedCache<String, Void>(capacity: 1024))

    public var configuration: RegistryConfiguration { requester.configuration }
    /// Totals since the start.
    public var counters: RegistryCounters { requester.counters }

    public init(_ configuration: RegistryConfiguration, logger: Logger) {
        requester = HostRequester(configuration, logger: logger)
    }

    /// The number of HTTP requests sent, of every kind.
    public var requestCount: UInt64 { counters.requests.value }
    /// The number of blob bytes received.
    public var bytesReceived: UInt64 { counters.bytes.value }

    /// Closes all connections. Requests in flight and later ones fail with code `shutDown`.
    public func shutdown() async {
        await requester.transport.shutdown()
    }

    /// Returns the hosts of an upstream in the order to try them.
    public func hosts(for upstream: String) async -> [RegistryHost] {
        await requester.directory.hosts(for: upstream)
    }

    /// Returns the names of the upstreams that have a `hosts.toml` directory.
    public func configuredUpstreams() async -> [String] {
        await requester.directory.upstreams()
    }

    /// Returns true if the registry is known to have the referrers API.
    func hasReferrers(_ repository: Repository) -> Bool {
        referrers.withLock { $0[repository.host] != nil }
    }

    /// Records that the registry has the referrers API.
    func noteReferrers(_ repository: Repository) {
        referrers.withLock { $0[repository.host] = () }
    }
}
