public import Base
import Concurrency
public import ContentStore
import LayerIndex
public import NodeDatabase
import Registry

/// The node's implementation of ``RemoteImages``: opens images from their registries and mounts them.
public final class StreamedImages: RemoteImages {
    private let images: Guarded<OpenedImages>
    private let opener: ImageOpener
    private let register: ChainRegister
    private let mounts: ChainMounts
    private let start: ChainStart
    let admission: ChainAdmission
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
        finder?.note(namespace: request.namespace)
        do throws(FallbackReason) {
            let reference: ImageReference
            do {
                reference = try ImageReference(parsing: request.imageReference)
            } catch {
                throw FallbackReason(.badLabel, "\(error)")
            }
            if let registries, !registries.contains(reference.repository.host) {
                throw FallbackReason(
                    .untrusted, "registry \(reference.repository.host) is not in trust.registries")
            }
            let image = try await image(reference, request)
            let (content, isTop) = try image.layer(request.layerDigest)
            let chain = try await register.record(
                RemoteLayer(key: content.key, repository: reference.repository), parent: request.parent,
                claim: request.chainID)
            if isTop { prepareContainer(of: image, on: chain, manifest: request.manifestDigest) }
            // Report the size of the complete layer: containerd asks only once, when almost nothing has been fetched.
            return .ready(
                RemoteIdentity(chain: chain, layer: content.key), size: content.chunks.contentSize,
                inodes: content.tree.inodeCount)
        } catch {
            return .declined(reason: error)
        }
    }

    /// Begins to merge and mount the image's tree, because a container is likely to be created soon. Meanwhile,
    /// containerd finishes the pull.
    private func prepareContainer(of image: OpenedImage, on chain: ChainKey, manifest: Digest?) {
        if let manifest { start.recorder.note(chain, isOf: manifest) }
        Task {
            _ = try? await mounts.bringUp(chain)
            if let command = await image.start.value { start.configure(chain, command) }
        }
    }

    public func admit(_ request: AdmissionRequest) async throws(FallbackReason) -> [RemoteIdentity]? {
        switch try await admission.decide(request) {
        case .admitted: return nil
        case .wrong(let images): return try await rebuild(request, from: images)
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
        await mounts.forget(chain)
    }

    public func sweep() async -> Bool {
        let isIdle = images.withLock { images in
            images.expire(at: clock.now)
            return images.isEmpty
        }
        // The layers of images in memory remain: no chain may contain them yet, because containerd asks for one layer
        // after another.
        var isDone = isIdle
        for chain in await register.unused() where await !mounts.forget(chain) { isDone = false }
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
