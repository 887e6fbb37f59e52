import Base
import Concurrency
import Registry

/// The opener of connections to registries for images that are likely to be pulled soon. It connects before containerd
/// requests the image.
///
/// kubelet creates a pod's sandbox before it pulls the pod's images. This leaves time to connect.
final class ExpectedImages: Sendable {
    /// The maximum number of registries to connect to. The node connects to the registries from which its latest images
    /// came. A node without images connects to the registries that `hosts.toml` files configure.
    private static let maximumUpstreams = 4
    /// The minimum time between two rounds of connecting. For a pod that is created sooner, the connections of the last
    /// round are still open.
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

    /// Begins to connect to registries, because some image is likely to be pulled soon. Does not wait for the
    /// connections. Does nothing if an earlier call began to connect less than ``lasts`` ago.
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
