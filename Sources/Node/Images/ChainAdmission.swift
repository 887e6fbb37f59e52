import Base
import Concurrency
import ContainerRuntime
import ContentStore
import LayerFormats
import Logging
import NIOPosix
import NodeDatabase
import Registry

/// The decision if a container may be created on a chain.
///
/// containerd shares the snapshots of a chain among all images that state the chain's ID, and the author of an image
/// chooses that ID. So the first image with an ID determines the files of all others. A container is therefore created
/// on a chain only in two cases:
///
/// - The chain is verified: its ID follows from the archives of its layers.
/// - All images that claim the chain name just these layers in their manifests. It is then the right chain for each of
///   them.
///
/// In any other case, the chain's layers are verified first. Beside that, the layers of the images that name other ones
/// are prepared and verified, because the chain's own registry may never send its layers. The first stack that has the
/// chain's ID wins. Two different stacks cannot both have it: the ID follows from the archives.
///
/// All of this continues after the caller's time is over. The caller's next attempt finds the results.
struct ChainAdmission: Sendable {
    /// The preparation of the lowest `count` layers of an image from one of its repositories, bottom first; `nil` if
    /// one of them cannot be streamed.
    typealias Preparing = @Sendable (ImageClaim, Repository, _ count: Int) async -> [RemoteIdentity]?

    /// The knowledge about a stack of layers that should have a certain chain ID.
    private enum Standing {
        case right, wrong
        /// Not all layers are verified.
        case open(verified: Int)
        /// A layer cannot be verified: the reason.
        case undecidable(String)
    }

    /// The stack that a chain should be.
    private struct Goal {
        /// The chain's ID; `nil` if it is unknown. No stack is then right.
        let chainID: Digest?
        /// The diff IDs that follow from the chain's ID; empty if they are unknown.
        let diffIDs: [Digest]
    }

    /// The maximum number of preparations that one request begins.
    private static let maximumCandidates = 16
    /// The maximum time of one preparation.
    private static let longestPreparation = Duration.seconds(60)
    /// The maximum number of preparations at the same time.
    private static let maximumPreparations = 512

    private struct Candidate: Hashable {
        let manifest: Digest
        let repository: Repository
        let count: Int
    }

    private let register: ChainRegister
    /// The verifier of layers; `nil` if verification is switched off.
    private let verifier: LayerVerifier?
    /// The finder of claims; `nil` if containerd's socket is not configured.
    private let claims: (any ImageClaimSource)?
    private let formats: LayerFormatRegistry
    /// The maximum time for which a caller waits until layers are verified.
    private let patience: Duration
    private let clock: any TimeSource
    private let logger: Logger
    private let preparations: SingleFlight<Candidate, [RemoteIdentity]?>

    init(
        register: ChainRegister, verifier: LayerVerifier?, claims: (any ImageClaimSource)?,
        formats: LayerFormatRegistry, patience: Duration, clock: any TimeSource, logger: Logger
    ) {
        self.register = register
        self.verifier = verifier
        self.claims = claims
        self.formats = formats
        self.patience = patience
        self.clock = clock
        self.logger = logger
        preparations = SingleFlight(
            clock: clock, abandonAfter: Self.longestPreparation, limit: Self.maximumPreparations)
    }

    /// Decides if a container may be created on the chain of `request`.
    ///
    /// - Returns: the layers that the chain should have, bottom first, if containerd knows the chain under an ID that
    ///   does not follow from its layers; `nil` if the chain is right.
    /// - Throws: `imageMismatch` if no image has the right layers; another ``FallbackReason`` if that cannot be decided
    ///   now, for example because the layers are not verified in time.
    func decide(
        _ request: AdmissionRequest, preparing: @escaping Preparing
    ) async throws(FallbackReason) -> [RemoteIdentity]? {
        let stack = try await stack(of: request.chain)
        let standing = standing(of: stack, as: Goal(chainID: request.chainID, diffIDs: []))
        if case .right = standing { return nil }
        var isWrong = false
        if case .wrong = standing { isWrong = true }
        guard let claims, let namespace = request.namespace, !request.topChainIDs.isEmpty else {
            if isWrong { throw Self.mismatch }
            return nil
        }
        var (images, isComplete): (Set<ImageClaim>, Bool) = ([], true)
        for top in request.topChainIDs {
            do {
                let found = try await claims.images(claiming: top, namespace: namespace)
                images.formUnion(found.images)
                isComplete = isComplete && found.isComplete
            } catch {
                throw FallbackReason(.busy, "containerd does not tell which images claim chain \(top): \(error)")
            }
        }
        if !isWrong {
            if images.isEmpty, isComplete {
                logger.warning(
                    "no image in containerd claims the chain of a new container: set containerd.snapshotter to the name in [proxy_plugins.<name>]",
                    metadata: ["chain_id": "\(request.topChainIDs)", "snapshotter": "\(claims.snapshotter)"])
                return nil
            }
            if isComplete, images.allSatisfy({ isNamed(stack, by: $0) }) { return nil }
            logger.notice(
                "images claim the same chain with different layers: verifying the layers first",
                metadata: ["chain_id": "\(request.topChainIDs)", "images": "\(images.map(\.manifest))"])
        }
        let chainID = request.chainID ?? images.lazy.compactMap { $0.chainID(of: stack.count) }.first
        guard let chainID else { throw Self.mismatch }
        // All images with this chain ID have these diff IDs.
        let diffIDs = images.first { $0.chainID(of: stack.count) == chainID }?.diffIDs.prefix(stack.count) ?? []
        // An image that names the chain's own layers has nothing else to offer.
        let others = images.filter {
            $0.chainID(of: stack.count) == chainID && (isWrong || !isNamed(stack, by: $0))
        }
        return try await settle(
            request.chain, Goal(chainID: chainID, diffIDs: Array(diffIDs)), isWrong ? [] : stack,
            candidates(others, count: stack.count), preparing)
    }

    private static let mismatch = FallbackReason(
        .imageMismatch,
        "another image claimed this chain ID for its own layers, and no image with the right layers can be streamed: remove the images with this chain ID and pull again"
    )

    /// Waits until the chain or a candidate turns out to have the ID of `goal`.
    ///
    /// - Parameter stack: the layers of the chain; empty if they are known to be wrong.
    private func settle(
        _ chain: ChainKey, _ goal: Goal, _ stack: [ChainRegister.Layer],
        _ candidates: [(image: ImageClaim, repository: Repository, count: Int)], _ preparing: @escaping Preparing
    ) async throws(FallbackReason) -> [RemoteIdentity]? {
        guard let verifier else {
            throw FallbackReason(
                .busy, "images claim the chain \(chain) with different layers, and trust.verify_layers is off")
        }
        for layer in stack where layer.diffID == nil { verifier.verifyNow(layer.key) }
        let prepared = Guarded((stacks: [[RemoteIdentity]](), pending: candidates.count))
        let work = candidates.map { candidate in
            Task {
                let layers = await prepare(candidate, verifier, preparing)
                prepared.withLock { prepared in
                    if let layers { prepared.stacks.append(layers) }
                    prepared.pending -= 1
                }
                verifier.changes.fire()
            }
        }
        defer { for task in work { task.cancel() } }
        let end = clock.now.advanced(by: patience)
        while true {
            let change = verifier.changes.next
            let (stacks, pending) = prepared.withLock { $0 }
            var isOpen = pending > 0
            var state: [String] = []
            if !stack.isEmpty {
                switch standing(of: try await self.stack(of: chain), as: goal) {
                case .right: return nil
                case .wrong: state.append("its own layers are wrong")
                case .undecidable(let reason): state.append("its own layers cannot be verified (\(reason))")
                case .open(let verified):
                    isOpen = true
                    state.append("\(verified) of its \(stack.count) layers are verified")
                }
            }
            for layers in stacks {
                // A candidate whose chain is gone is no candidate.
                guard let top = layers.last, let found = try? await self.stack(of: top.chain) else { continue }
                switch standing(of: found, as: goal) {
                case .right: return layers
                case .wrong: state.append("layers of another image are wrong")
                case .undecidable(let reason): state.append("layers of another image cannot be verified (\(reason))")
                case .open(let verified):
                    isOpen = true
                    state.append("\(verified) of \(layers.count) layers of another image are verified")
                }
            }
            let summary = state.joined(separator: "; ")
            guard isOpen else {
                throw FallbackReason(.imageMismatch, "\(Self.mismatch.detail)\(summary.isEmpty ? "" : " (\(summary))")")
            }
            guard case .value = await change.wait(atMost: clock.now.duration(to: end), clock: clock) else {
                throw FallbackReason(.busy, "images disagree about the chain; \(summary); try again later")
            }
        }
    }

    /// Prepares the layers of an image, and begins to verify them.
    private func prepare(
        _ candidate: (image: ImageClaim, repository: Repository, count: Int), _ verifier: LayerVerifier,
        _ preparing: @escaping Preparing
    ) async -> [RemoteIdentity]? {
        let key = Candidate(
            manifest: candidate.image.manifest, repository: candidate.repository, count: candidate.count)
        let outcome = await preparations.value(for: key) { [register] in
            let layers = await preparing(candidate.image, candidate.repository, candidate.count)
            guard let top = layers?.last else { return layers }
            let stack = (try? await register.workers.runIfActive { try register.layers(of: top.chain) }) ?? []
            for layer in stack where layer.diffID == nil { verifier.verifyNow(layer.key) }
            return layers
        }
        if case .value(let layers) = outcome { return layers }
        return nil
    }

    /// Returns the images with their repositories, in the order in which to try them, and not too many.
    ///
    /// One image with many claims, or one registry, must not keep the others from being tried. So the registries take
    /// turns, and chance decides within a registry.
    private func candidates(
        _ images: some Collection<ImageClaim>, count: Int
    ) -> [(image: ImageClaim, repository: Repository, count: Int)] {
        var byHost: [String: [(image: ImageClaim, repository: Repository, count: Int)]] = [:]
        for image in images {
            for repository in image.repositories {
                byHost[repository.host, default: []].append((image, repository, count))
            }
        }
        var hosts = byHost.values.map { $0.shuffled() }.shuffled()
        var result: [(image: ImageClaim, repository: Repository, count: Int)] = []
        while result.count < Self.maximumCandidates, !hosts.isEmpty {
            for index in hosts.indices where result.count < Self.maximumCandidates {
                if let next = hosts[index].popLast() { result.append(next) }
            }
            hosts.removeAll(where: \.isEmpty)
        }
        return result
    }

    /// Returns what is known about a stack of layers.
    private func standing(of stack: [ChainRegister.Layer], as goal: Goal) -> Standing {
        if stack.contains(where: \.isRefused) { return .wrong }
        let verified = stack.count { $0.diffID != nil }
        // The first verified layer may decide.
        if zip(stack, goal.diffIDs).contains(where: { $0.diffID != nil && $0.diffID != $1 }) { return .wrong }
        if let chainID = goal.chainID, let found = ChainRegister.chainID(of: stack) {
            return found == chainID ? .right : .wrong
        }
        for layer in stack where layer.diffID == nil {
            if let reason = verifier?.undecidableReason(layer.key) {
                return .undecidable("\(layer.key.blob): \(reason)")
            }
        }
        return .open(verified: verified)
    }

    private func isNamed(_ stack: [ChainRegister.Layer], by image: ImageClaim) -> Bool {
        stack.enumerated().allSatisfy { image.names($1.key, at: $0, verified: $1.diffID, formats) }
    }

    private func stack(of chain: ChainKey) async throws(FallbackReason) -> [ChainRegister.Layer] {
        do {
            return try await register.workers.runIfActive { [register] in try register.layers(of: chain) }
        } catch {
            throw FallbackReason(.storage, "chain \(chain): \(error)")
        }
    }
}
