import Base
import ContentStore
import LayerIndex
import Logging
import NIOPosix
import NodeDatabase
import Planner
import Registry
import Streaming

/// Records what a container reads first of a chain, and has it fetched when that chain, or one like it, is mounted again.
final class ProfileKeeper: Sendable {
    /// A chain that has been mounted.
    struct Subject: Sendable {
        let chain: Digest
        let repository: Repository
        let tree: TreeImage
        let layers: [StoredLayer]
        let touches: TouchLog
        let mounted = MonotonicTime.now()
    }

    /// Of file content: some 2 MiB of most layers.
    private static let earlyBytes: UInt64 = 5 << 20

    private let records: ProfileRecords
    private let engine: StreamingEngine
    private let workers: NIOThreadPool
    private let logger: Logger
    private let policy: ProfilePolicy
    private let watching = Guarded<[Digest: Task<Void, Never>]>([:])
    /// The manifests of the images that chains are the root file systems of, as far as they have been seen.
    private let images = Guarded<[Digest: Digest]>([:])
    /// Chains of which something has been reported.
    private let reported = Guarded<Set<Digest>>([])

    init(
        records: ProfileRecords, engine: StreamingEngine, workers: NIOThreadPool, policy: ProfilePolicy, logger: Logger
    ) {
        self.records = records
        self.engine = engine
        self.workers = workers
        self.policy = policy
        self.logger = logger
    }

    /// Has fetched what is known to be needed of a chain that has just been mounted, and begins to watch what is read of
    /// it. Blocks on the database. False when nothing is known of it.
    func begin(_ subject: Subject) -> Bool {
        var replayed: [ChunkRun] = []
        var known: Profile?
        do {
            if policy.replays, let found = try records.find(subject.chain, subject.repository) {
                known = found.profile
                replayed = found.profile.pieces(in: subject.tree, subject.layers)
                engine.prefetch(StartHint(.recordedProfile, runs: replayed))
                logger.info(
                    "profile is replayed",
                    metadata: [
                        "chain": "\(subject.chain)", "repository": "\(subject.repository)",
                        "from": "\(found.chain == subject.chain ? "this image" : "chain \(found.chain)")",
                        "entries": "\(found.profile.entries.count)", "found": "\(replayed.count)",
                    ])
            }
        } catch {
            logger.warning("profiles cannot be read", metadata: ["error": "\(error)"])
        }
        guard policy.records else { return known != nil }
        let (log, old, pieces) = (subject.touches, known, replayed)
        let task = Task { [self] in
            guard await isQuiet(log) else { return }
            // From here on it ends by itself. One that was cancelled has been taken out, or replaced, already.
            watching.withLock { if !Task.isCancelled { $0[subject.chain] = nil } }
            _ = try? await workers.runIfActive { [self] in finish(subject, log, old, pieces) }
        }
        watching.withLock { $0.updateValue(task, forKey: subject.chain)?.cancel() }
        return known != nil
    }

    /// What is known to be needed first of the image with this chain, or of another of `repository`: as much as a link may carry
    /// while the image is being opened.
    func beginning(of chain: Digest?, _ repository: Repository) async -> Profile? {
        guard policy.replays else { return nil }
        return try? await workers.runIfActive { [records] in
            try records.find(chain, repository)?.profile.beginning(bytes: Self.earlyBytes)
        }
    }

    /// Has fetched what `beginning` names of a layer that is open, before the other layers are: the link has nothing else to do.
    /// What another layer covers up comes in vain, so it must not be much.
    func start(_ beginning: Profile, of layer: StoredLayer) async {
        try? await workers.runIfActive { [engine] in
            engine.prefetch(StartHint(.recordedProfile, runs: beginning.pieces(in: layer.tree, [layer])))
        }
    }

    /// Says which image a chain is the root file system of.
    func note(_ chain: Digest, isOf manifest: Digest) {
        if policy.report != nil { images.withLock { $0[chain] = manifest } }
    }

    /// Whether something will be replayed for an image of `repository`.
    func hasProfile(of repository: Repository) async -> Bool {
        guard policy.replays else { return false }
        return (try? await workers.runIfActive { [records] in try records.hasAny(of: repository) }) ?? false
    }

    /// The chain is unmounted: what has been seen of it so far is too little to go by.
    func end(_ chain: Digest) {
        watching.withLock { $0.removeValue(forKey: chain)?.cancel() }
        images.withLock { $0[chain] = nil }
        reported.withLock { _ = $0.remove(chain) }
    }

    /// Waits until the start that `log` writes down is over. False when it was cancelled.
    private func isQuiet(_ log: TouchLog) async -> Bool {
        var first: MonotonicTime?
        while true {
            do {
                try await Task.sleep(nanoseconds: policy.quiet / 4)
            } catch {
                return false
            }
            guard let last = log.lastTouch else { continue }
            let now = MonotonicTime.now()
            first = first ?? now
            if now.since(last) >= policy.quiet || now.since(first ?? now) >= policy.longest { return true }
        }
    }

    /// One line that says why the start took as long as it did.
    private func explain(_ subject: Subject) {
        let seen = engine.statistics(of: subject.layers)
        let link = engine.snapshot()
        let last = subject.touches.lastTouch ?? subject.mounted
        let time = last >= subject.mounted ? last.since(subject.mounted) : 0
        func byClass(_ values: PerClass<UInt64>) -> String {
            FetchClass.allCases.map { "\($0) \(values[$0])" }.joined(separator: ", ")
        }
        logger.info(
            "start is over",
            metadata: [
                "chain": "\(subject.chain)", "repository": "\(subject.repository)",
                // From the mount to the last first read of anything.
                "milliseconds": "\(time / 1_000_000)", "reads_that_waited": "\(seen.stalls)",
                // Readers wait side by side, so this may be more than the time that passed.
                "waited_milliseconds": "\(seen.stalled / 1_000_000)",
                "longest_wait_milliseconds": "\(seen.longestStall / 1_000_000)", "reads_that_failed": "\(seen.failed)",
                "not_foreseen": "\(seen.surprises)", "requests": "\(byClass(seen.requests))",
                "bytes": "\(byClass(seen.bytes))", "link_megabytes_a_second": "\(Int(link.bytesPerSecond / 1e6))",
                "link_answers_in_milliseconds": "\(Int(link.answerDelay / 1e6))",
            ])
    }

    private func finish(_ subject: Subject, _ log: TouchLog, _ old: Profile?, _ replayed: [ChunkRun]) {
        explain(subject)
        let recorded = Profile(log.close(), of: subject.tree)
        let profile = old?.merged(with: recorded) ?? recorded
        let read = Set(recorded.pieces(in: subject.tree, subject.layers).flatMap(ChunkName.all))
        let unread = replayed.flatMap(ChunkName.all).filter { !read.contains($0) }
        do {
            try records.keep(KeptProfile(chain: subject.chain, repository: subject.repository, profile: profile))
            logger.info(
                "profile is recorded",
                metadata: [
                    "chain": "\(subject.chain)", "repository": "\(subject.repository)",
                    "entries": "\(profile.entries.count)", "read": "\(recorded.byteCount)",
                    "replayed_unread": "\(unread.reduce(0) { $0 &+ $1.bytes })",
                ])
            report(subject, recorded, old)
        } catch {
            logger.warning(
                "a profile cannot be kept", metadata: ["chain": "\(subject.chain)", "error": "\(error)"])
        }
    }

    /// Tells who makes startup packs of a start that was the first of its image here, or that was not as the ones before.
    private func report(_ subject: Subject, _ recorded: Profile, _ old: Profile?) {
        guard let report = policy.report, let manifest = images.withLock({ $0[subject.chain] }) else { return }
        let isFirst = reported.withLock { $0.insert(subject.chain).inserted }
        let new = recorded.byteCount(missingIn: old ?? Profile(entries: []))
        guard isFirst || new * 20 >= recorded.byteCount else { return }
        report(
            ReportedProfile(
                manifest: manifest,
                file: ProfileFile(repository: subject.repository, chain: subject.chain, profile: recorded)))
    }

    private struct ChunkName: Hashable {
        let layer: Digest
        let chunk: Int
        /// Decoded.
        let bytes: UInt64

        static func all(of piece: ChunkRun) -> [ChunkName] {
            piece.chunks.map {
                ChunkName(layer: piece.layer.digest, chunk: $0, bytes: piece.layer.chunks.chunk($0).content.count)
            }
        }
    }
}
