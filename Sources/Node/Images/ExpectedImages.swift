import Base
import Concurrency
import Registry

/// Opens connections to registries before an image is asked for: kubelet creates a pod's sandbox before it pulls
/// images.
final class ExpectedImages: Sendable {
    /// The registries that connections are opened to: those of the latest images here, or on a new node those that
    /// `hosts.toml` files configure.
    private static let maximumUpstreams = 4
    /// Pods created this soon after another find the connections that were opened for that one.
    private static let lasts = Duration.seconds(5)

    private let registry: RegistryClient
    private let chains: ChainRegister
    private let clock: any TimeSource
    private let last = Guarded<MonotonicTime?>(nil)

    init(registry: RegistryClient, chains: ChainRegister, clock: any TimeSource) {
        self.registry = registry
        self.chains = chains
        self.clock = clock
    }

    /// Prepares for an image soon. Returns at once.
    func expect() {
        guard registry.configuration.readyConnections > 0 else { return }
        let now = clock.now
        let isTime = last.withLock { last in
            if let last, last.duration(to: now) < Self.lasts { return false }
            last = now
            return true
        }
        guard isTime else { return }
        Task {
            var upstreams = await chains.upstreams(limit: Self.maximumUpstreams)
            if upstreams.isEmpty {
                upstreams = Array(await registry.configuredUpstreams().prefix(Self.maximumUpstreams))
            }
            for upstream in upstreams { await registry.makeReady(upstream) }
        }
    }
}
