public import Base
import Concurrency
public import ContentStore
import LayerIndex
import NodeDatabase
import Registry

/// The node's implementation of ``RemoteImages``: opens images from their registries and mounts them.
public final class StreamedImages: RemoteImages {
    private let images: Guarded<OpenedImages>
    private let opener: ImageOpener
    private let register: ChainRegister
    private let mounts: ChainMounts
    private let start: ChainStart
    let admission: ChainAdmission
    /// The chains that are kept for a rebuild.
    let held: HeldChains
    private let expected: ExpectedImages
    /// The hosts of the registries from which layers are streamed; `nil` allows all.
    private let registries: Set<String>?
    private let verification: VerificationCounters
    /// The finder of further locations; `nil` if containerd's socket is not configured.
    private let finder: LocationFinder?
    private let store: ContentStore
    private let clock: any TimeSource

    init(
        images: OpenedImages, opener: ImageOpener, register: ChainRegister, mounts: ChainMounts, start: ChainStart,
        admission: ChainAdmission, expected: ExpectedImages, registries: Set<String>?,
        verification: VerificationCounters, finder: LocationFinder?, store: ContentStore, clock: any TimeSource
    ) {
        self.images = Guarded(images)
        self.opener = opener
        self.register = register
        self.mounts = mounts
        self.start = start
        self.admission = admission
        held = HeldChains(clock: clock)
        self.expected = expected
        self.registries = registries
        self.verification = verification
        self.finder = finder
        self.store = store
        self.clock = clock
    }

    /// The metrics of the verification of layers.
    public var metrics: [MetricFamily] { verification.metrics(unverified: store.unverifiedCount) }

    public func prepareLayer(_ request: RemoteLayerRequest) async -> RemoteLayerOutcome {
        do throws(FallbackReason) {
            let (identity, content) = try await prepare(request, isCandidate: false)
            // Report the size of the complete layer: containerd asks only once, when almost nothing has been fetched.
            return .ready(identity, size: content.chunks.contentSize, inodes: content.tree.inodeCount)
        } catch {
            return .declined(reason: error)
        }
    }

    /// Opens the layer of `request`, and records the chain with the layer on top.
    ///
    /// - Parameter isCandidate: true if the chain may take the place of another one. It is then kept for a while, and
    ///   not mounted. False if containerd asked for the layer.
    func prepare(
        _ request: RemoteLayerRequest, isCandidate: Bool
    ) async throws(FallbackReason) -> (identity: RemoteIdentity, content: StoredLayer) {
        finder?.note(namespace: request.namespace)
        let reference: ImageReference
        do {
            reference = try ImageReference(parsing: request.imageReference)
        } catch {
            throw FallbackReason(.badLabel, "\(error)")
        }
        if let registries, !registries.contains(reference.repository.host) {
            throw FallbackReason(.untrusted, "registry \(reference.repository.host) is not in trust.registries")
        }
        let image = try await image(reference, request)
        try image.check(request.layerDigest, request.chainID)
        let (content, isTop) = try image.layer(request.layerDigest)
        if isCandidate { held.hold(ChainKey(parent: request.parent, layer: content.key)) }
        let chain = try await register.record(
            RemoteLayer(key: content.key, repository: reference.repository), parent: request.parent,
            claim: request.chainID)
        if isTop {
            if let manifest = request.manifestDigest { start.recorder.note(chain, isOf: manifest) }
            if !isCandidate { prepareContainer(of: image, on: chain) }
        }
        return (RemoteIdentity(chain: chain, layer: content.key), content)
    }

    /// Begins to merge and mount the image's tree, because a container is likely to be created soon. Meanwhile,
    /// containerd finishes the pull.
    private func prepareContainer(of image: OpenedImage, on chain: ChainKey) {
        Task {
            _ = try? await mounts.bringUp(chain)
            if let command = await image.start.value { start.configure(chain, command) }
        }
    }

    public func expectImages() {
        expected.expect()
    }

    public func mountedDirectory(ofChain chain: ChainKey) async throws -> String {
        try await mounts.bringUp(chain)
    }

    public func isUsable(_ chain: ChainKey) async -> Bool {
        await register.isUsable(chain)
    }

    public func forget(_ chain: ChainKey) async -> Bool {
        guard !held.isHeld(chain) else { return false }
        return await mounts.forget(chain)
    }

    public func sweep() async -> Bool {
        let isIdle = images.withLock { images in
            images.expire(at: clock.now)
            return images.isEmpty
        }
        // The layers of images in memory remain: no chain may contain them yet, because containerd asks for one layer
        // after another.
        var isDone = isIdle
        for chain in await register.unused() where await !forget(chain) { isDone = false }
        if await !mounts.deleteLeftovers(unless: { [self] layer in images.withLock { $0.mayHave(layer) } }) {
            isDone = false
        }
        return isDone
    }

    /// Returns the image of `request`. Opens the image unless an earlier call has begun to open it.
    private func image(
        _ reference: ImageReference, _ request: RemoteLayerRequest
    ) async throws(FallbackReason) -> OpenedImage {
        let key = OpenedImages.Key(reference, request)
        let (opened, isNew) = images.withLock { $0.opened(key, at: clock.now) }
        if isNew {
            // This task is not a child of the caller. If the client disconnects, its next attempt can use the result.
            Task { await opener.open(reference, for: request, into: opened) }
        }
        let result = await opened.value
        let isComplete = (try? result.get()).map { $0.streamedCount == $0.layers.count } ?? false
        if !isComplete { images.withLock { $0.decline(key, opened: opened, at: clock.now) } }
        return try result.get()
    }
}
