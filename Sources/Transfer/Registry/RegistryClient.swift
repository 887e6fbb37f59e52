import Base
import Concurrency
public import Logging

/// Reads from registries: manifests, and ranges of blobs.
///
/// One for the whole process. Connections, tokens, redirects and what is known of hosts are shared by all images and
/// layers. Mirrors and TLS come from containerd's `hosts.toml` directories, credentials from a ``CredentialSource``.
/// Call ``shutdown()`` before letting go of it.
public final class RegistryClient: Sendable {
    let requester: HostRequester
    /// Upstreams that have answered the referrers API.
    private let referrers = Guarded(BoundedCache<String, Void>(capacity: 1024))

    public var configuration: RegistryConfiguration { requester.configuration }
    /// What has been done so far.
    public var counters: RegistryCounters { requester.counters }

    public init(_ configuration: RegistryConfiguration, logger: Logger) {
        requester = HostRequester(configuration, logger: logger)
    }

    /// HTTP requests sent so far, of every kind.
    public var requestCount: UInt64 { counters.requests.value }
    /// Body bytes of blobs received so far.
    public var bytesReceived: UInt64 { counters.bytes.value }

    /// Closes all connections; requests in flight fail with code `shutDown`, and so does whatever comes later.
    public func shutdown() async {
        await requester.transport.shutdown()
    }

    /// The hosts of an upstream in the order in which they are to be tried.
    public func hosts(for upstream: String) async -> [RegistryHost] {
        await requester.directory.hosts(for: upstream)
    }

    /// The upstreams that have a directory of their own among those of `hosts.toml`, by name.
    public func configuredUpstreams() async -> [String] {
        await requester.directory.upstreams()
    }

    /// Whether the registry is known to have the referrers API.
    func hasReferrers(_ repository: Repository) -> Bool {
        referrers.withLock { $0[repository.host] != nil }
    }

    /// The registry has the referrers API.
    func noteReferrers(_ repository: Repository) {
        referrers.withLock { $0[repository.host] = () }
    }
}
