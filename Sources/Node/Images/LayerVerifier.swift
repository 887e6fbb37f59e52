import Base
import Concurrency
import ContentStore
import Logging
import NIOPosix
import NodeDatabase
import Registry
import Streaming

/// The verifier of layers. It verifies layers in turn (``VerificationQueue``, ``LayerVerification``), records the
/// results, and reports snapshots whose chain ID turns out to be wrong.
///
/// A layer is verified once it is complete. A layer that background fill does not complete is verified some time after
/// it is mounted. The verification needs the network, so it waits while containers start. A failed verification is
/// tried again, later and later.
final class LayerVerifier: Sendable {
    /// The pause before the second attempt. It doubles with each further attempt.
    private static let firstPause = Duration.seconds(60)
    /// The time between looks at mounted layers that are not verified.
    private static let interval = Duration.seconds(60)
    /// The maximum time of one attempt.
    private static let longest = Duration.seconds(1800)
    /// The maximum number of attempts until the layer's image is mounted again.
    private static let maximumAttempts = 8
    /// The rate in bytes a second below which a registry is too slow. A registry that sends its bytes drop by drop must
    /// not keep a turn from other layers.
    private static let minimumRate: UInt64 = 32 << 10
    /// The time for which a registry may be slower than ``minimumRate``, for urgent layers and for others.
    private static let grace = (urgent: Duration.seconds(10), background: Duration.seconds(60))
    /// The time after which an urgent turn ends if another urgent layer waits. The attempt is then repeated. The time
    /// doubles with each attempt, five times at most.
    private static let share = Duration.seconds(20)
    /// The time between looks at the pace of an attempt.
    private static let watchInterval = Duration.seconds(2)
    /// The maximum number of layers that are remembered as undecidable.
    private static let maximumUndecidable = 4096

    private let registry: RegistryClient
    private let store: ContentStore
    private let register: ChainRegister
    /// The threads that run only when a processor is idle, and ordinary ones.
    private let threads: (idle: NIOThreadPool, ordinary: NIOThreadPool)
    private let engine: StreamingEngine
    /// True if background fill is switched on.
    private let fills: Bool
    /// The time between a layer's completion and its verification. It doubles while containers start.
    private let delay: Duration
    private let clock: any TimeSource
    private let logger: Logger
    private let counters: VerificationCounters
    private let queue = VerificationQueue()
    /// The signal after each attempt.
    let changes = ChangeSignal()
    /// The layers that cannot be verified, and why. Another attempt would end in the same way.
    private let undecidable = Guarded(BoundedCache<LayerKey, String>(capacity: maximumUndecidable))
    /// The layers that wait for their verification or are being verified. The signal makes the verification urgent.
    private let underWay = Guarded<[LayerKey: OneShot<Void>]>([:])
    /// The mounted layers that are neither complete nor verified.
    private let waiting = Guarded<Set<LayerKey>>([])

    init(
        registry: RegistryClient, store: ContentStore, register: ChainRegister,
        threads: (idle: NIOThreadPool, ordinary: NIOThreadPool), counters: VerificationCounters,
        engine: StreamingEngine, fills: Bool, delay: Duration, clock: any TimeSource,
        logger: Logger
    ) {
        self.registry = registry
        self.store = store
        self.register = register
        self.threads = threads
        self.engine = engine
        self.fills = fills
        self.delay = delay
        self.counters = counters
        self.clock = clock
        self.logger = logger
    }

    /// Begins to verify the layer if it is complete and not verified yet. Returns at once.
    func layerIsComplete(_ layer: StoredLayer) {
        guard layer.isComplete, layer.verifiedDiffID == nil else { return }
        begin(layer.key, isUrgent: false)
    }

    /// Returns the reason why the layer cannot be verified; `nil` if it may be.
    func undecidableReason(_ key: LayerKey) -> String? { undecidable.withLock { $0[key] } }

    /// Begins to verify a layer for which somebody waits, whether or not the layer is complete. Returns at once.
    func verifyNow(_ key: LayerKey) {
        underWay.withLock { _ = $0[key]?.fulfill() }
        begin(key, isUrgent: true)
    }

    /// Begins to verify the layers that are not verified yet. Layers that background fill is completing come later.
    /// Returns at once.
    func layersAreMounted(_ layers: [StoredLayer]) {
        layers.forEach(layerIsComplete)
        let rest = layers.filter { $0.verifiedDiffID == nil && !$0.isComplete }.map(\.key)
        guard !rest.isEmpty else { return }
        let isNew = waiting.withLock { waiting in
            defer { waiting.formUnion(rest) }
            return waiting.isEmpty
        }
        guard isNew else { return }
        Task { [weak self, clock] in
            while (try? await clock.sleep(for: Self.interval)) != nil {
                guard let self, self.verifyWaiting() else { return }
            }
        }
    }

    /// Begins to verify the waiting layers, unless background fill is completing them. Returns false if no layer waits
    /// any longer.
    private func verifyWaiting() -> Bool {
        let isFilling = fills && engine.isFillAllowed
        let due = waiting.withLock { waiting -> Set<LayerKey> in
            // A layer that became complete is already being verified.
            let open = waiting.filter { store.opened($0)?.isComplete == false }
            waiting = isFilling ? open : []
            return isFilling ? [] : open
        }
        for key in due { begin(key, isUrgent: false) }
        return waiting.withLock { !$0.isEmpty }
    }

    /// Begins to verify a layer, unless that has begun already. Returns at once.
    ///
    /// - Parameter isUrgent: true to begin at once, even while containers start.
    private func begin(_ key: LayerKey, isUrgent: Bool) {
        guard undecidableReason(key) == nil else { return }
        let first = OneShot<Void>()
        if isUrgent { first.fulfill() }
        let isNew = underWay.withLock { underWay in
            if underWay[key] != nil { return false }
            underWay[key] = first
            return true
        }
        guard isNew else { return }
        // The task holds neither the layer nor the store while it waits, so that both can be closed.
        Task { [weak self, clock, delay] in
            // Waits while containers start, but not forever.
            var wait = delay
            repeat {
                if case .value = await first.wait(atMost: wait, clock: clock) { break }
                wait *= 2
            } while self?.engine.isStarting == true && wait < delay * 16
            var urgency = first
            var pause = Self.firstPause
            for attempt in 1...Self.maximumAttempts {
                let next = attempt < Self.maximumAttempts ? pause : nil
                guard let isDecided = await self?.attempt(key, number: attempt, next: next, urgency) else { return }
                self?.changes.fire()
                if isDecided { break }
                guard next != nil else { break }
                // An urgent request ends the pause.
                let again = OneShot<Void>()
                self?.underWay.withLock { $0[key] = again }
                if case .cancelled = await again.wait(atMost: pause, clock: clock) { break }
                urgency = again
                pause *= 2
            }
            self?.underWay.withLock { $0[key] = nil }
        }
    }

    /// Tries to verify the layer when it is its turn. Returns false if that has to be repeated.
    ///
    /// - Parameters:
    ///   - next: the pause before the next attempt; `nil` if there is none.
    ///   - urgency: the signal that somebody waits for the layer.
    private func attempt(_ key: LayerKey, number: Int, next: Duration?, _ urgency: OneShot<Void>) async -> Bool {
        do {
            let known = try await threads.ordinary.runIfActive { [register] in
                try register.records.repositories(of: key)
            }
            // A layer may be complete before it is recorded. It is then verified when it is mounted.
            guard !known.isEmpty else { return true }
            // A repository that begins to answer and then stops must not be the first one each time.
            let start = (number - 1) % known.count
            let repositories = Array(known[start...] + known[..<start])
            try await queue.withTurn(repositories[0], urgency: urgency) { turn in
                let pace = BlobSource.Pace(clock: self.clock)
                // A large layer needs more than one share. It must not begin again and again in vain.
                let share = Self.share * (1 << min(number - 1, 5))
                try await self.watching(pace, turn, urgency, share: share) {
                    try await self.verify(key, in: repositories, pace, urgency)
                }
            }
            return true
        } catch {
            counters.failed.add()
            logger.warning(
                "failed to verify a layer",
                metadata: [
                    "layer": "\(key)", "attempt": "\(number)", "error": "\(error)",
                    "next": "\(next.map { "in \($0)" } ?? "when an image with the layer is mounted again")",
                ])
            return false
        }
    }

    /// Runs `body`, an attempt. Cancels it if a registry is too slow, or if it took its share of an urgent turn for
    /// which another layer waits.
    private func watching(
        _ pace: BlobSource.Pace, _ turn: VerificationQueue.Turn, _ urgency: OneShot<Void>, share: Duration,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        let start = clock.now
        try await withTimeout(Self.longest, clock: clock) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await body() }
                group.addTask { [self] in
                    while true {
                        try await clock.sleep(for: Self.watchInterval)
                        let grace = urgency.current == nil ? Self.grace.background : Self.grace.urgent
                        if pace.isBelow(rate: Self.minimumRate, after: grace) {
                            throw RegistryError(
                                .timedOut, "the registry sends under \(Self.minimumRate) bytes a second")
                        }
                        if turn.lane == .urgent, turn.isWanted, start.duration(to: clock.now) >= share {
                            throw RegistryError(.timedOut, "other layers wait for their verification")
                        }
                    }
                }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    /// Verifies the layer unless it is gone, and records the result.
    private func verify(
        _ key: LayerKey, in repositories: [Repository], _ pace: BlobSource.Pace, _ urgency: OneShot<Void>
    ) async throws {
        let ordinary = threads.ordinary
        let layer = try await ordinary.runIfActive { [store] in try store.isRefused(key) ? nil : try store.layer(key) }
        guard let layer, layer.verifiedDiffID == nil else { return }
        let verification = LayerVerification(
            source: BlobSource(
                registry: registry, repositories: repositories,
                priority: urgency.current == nil ? .background : .demand, pace: pace),
            threads: BackgroundThreads(idle: threads.idle, ordinary: ordinary, urgency: urgency), logger: logger)
        let outcome = try await verification.outcome(of: layer) { [register] diffID in
            try await ordinary.runIfActive { try register.records.isStated(diffID, of: key) }
        }
        switch outcome {
        case .verified(let diffID):
            try await ordinary.runIfActive { [store] in try store.markVerified(layer, diffID: diffID) }
            counters.verified.add()
            logger.info("layer verified", metadata: ["layer": "\(key.blob)", "diff_id": "\(diffID)"])
            try await reportWrongClaims(key)
        case .refused(let difference):
            try await ordinary.runIfActive { [store] in try store.refuse(key) }
            counters.refused.add()
            logger.critical(
                "layer is not what its blob contains and is refused from now on: stop the containers that run from it",
                metadata: ["layer": "\(key)", "difference": "\(difference)"])
        case .undecidable(let reason):
            undecidable.withLock { $0[key] = reason }
            counters.undecidable.add()
            logger.warning(
                "layer cannot be verified: images that disagree about its chain are not run from it",
                metadata: ["layer": "\(key)", "reason": "\(reason)"])
        }
    }

    /// Looks at all snapshots on chains that contain the layer `key`. Reports those whose claim differs from the ID of
    /// their chain's layers.
    private func reportWrongClaims(_ key: LayerKey) async throws {
        let wrong = try await threads.ordinary.runIfActive { [register] in
            try register.records.claims(onChainsWith: key).filter { claim in
                // A chain that cannot be read is not mounted either.
                let truth = try? register.trueChainID(of: claim.chain)
                return truth != nil && truth != claim.chainID
            }
        }
        for claim in wrong {
            counters.wrongChains.add()
            logger.critical(
                "an image claimed the chain ID of other layers: containers of this chain ID may run from wrong files",
                metadata: [
                    "chain_id": "\(claim.chainID)", "snapshot": "\(claim.snapshot)", "chain": "\(claim.chain)",
                    "action": "stop the containers on this snapshot; new ones are refused",
                ])
        }
    }
}
