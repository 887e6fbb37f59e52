import Base
import Logging

/// The hosts of each upstream, from containerd's `hosts.toml` directories.
final class HostDirectory: Sendable {
    private let roots: [String]
    private let clock: RegistryClock
    private let logger: Logger

    init(_ roots: [String], clock: RegistryClock, logger: Logger) {
        self.roots = roots
        self.clock = clock
        self.logger = logger
    }

    func hosts(for upstream: String) async -> [RegistryHost] {
        [RegistryHost.upstream(upstream)]
    }
}
