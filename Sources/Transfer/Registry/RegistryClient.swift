import Base
import Concurrency
public import Logging

/// A client of registries. It fetches manifests and ranges of blobs, and pushes images.
///
/// A process has one client. All images and layers share its connections, tokens, redirects and knowledge of hosts. An
/// *upstream* is the registry that an image's name states, such as `docker.io`. Its hosts are the servers that the
/// client tries: mirrors, then the upstream itself. Mirrors and TLS settings come from containerd's `hosts.toml`
/// directories, credentials from a ``CredentialSource``. Call ``shutdown()`` before dropping the client.
public final class RegistryClient: Sendable {
    let requester: HostRequester
    /// The upstreams that are known to have the referrers API, because they answered a request to it.
    private let referrers = Guarded(BoundedCache<String, Void>(capacity: 1024))

    public var configuration: RegistryConfiguration { requester.configuration }
    /// The totals since the client was created.
    public var counters: RegistryCounters { requester.counters }

    public init(_ configuration: RegistryConfiguration, logger: Logger) {
        requester = HostRequester(configuration, logger: logger)
    }

    /// The number of HTTP requests sent, of every kind.
    public var requestCount: UInt64 { counters.requests.value }
    /// The number of blob bytes received from registries and their storage servers.
    public var bytesReceived: UInt64 { counters.bytes.value }

    /// Closes all connections. Requests in flight and later requests fail with code `shutDown`.
    public func shutdown() async {
        await requester.transport.shutdown()
    }

    /// Returns the hosts of an upstream in configured order: the mirrors of `hosts.toml`, then its `server` or the
    /// upstream. The client tries the hosts in this order, except that a host that recently failed comes last.
    public func hosts(for upstream: String) async -> [RegistryHost] {
        await requester.directory.hosts(for: upstream)
    }

    /// Returns the names of the upstreams that have a `hosts.toml` directory.
    public func configuredUpstreams() async -> [String] {
        await requester.directory.upstreams()
    }

    /// Returns true if the repository's registry is known to have the referrers API.
    func hasReferrers(_ repository: Repository) -> Bool {
        referrers.withLock { $0[repository.host] != nil }
    }

    /// Records that the repository's registry has the referrers API.
    func noteReferrers(_ repository: Repository) {
        referrers.withLock { $0[repository.host] = () }
    }
}
