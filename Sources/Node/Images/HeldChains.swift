import Base
import Concurrency
import ContentStore

/// The chains that are kept although no snapshot uses them yet.
///
/// A chain that belonged to another image is rebuilt from layers that are verified first, which may take longer than
/// one request waits. The request's next attempt must find these layers.
final class HeldChains: Sendable {
    /// The time for which a chain is kept. It is longer than the longest pause between two attempts of kubelet to
    /// create a container, which is 15 seconds, and short enough to free the space of an attacker's layers.
    private static let time = Duration.seconds(300)

    /// The maximum number of kept chains.
    private static let capacity = 16_384

    private let chains = Guarded(BoundedCache<ChainKey, Expiring<Void>>(capacity: capacity))
    private let clock: any TimeSource

    init(clock: any TimeSource) {
        self.clock = clock
    }

    /// Keeps `chain` for ``time`` from now, even if no snapshot uses it.
    func hold(_ chain: ChainKey) {
        let end = clock.now.advanced(by: Self.time)
        chains.withLock { $0[chain] = Expiring((), until: end) }
    }

    /// Returns true if `chain` is kept.
    func isHeld(_ chain: ChainKey) -> Bool {
        let now = clock.now
        return chains.withLock { $0.value(of: chain, at: now) } != nil
    }
}
