public import Base
import Concurrency
import ContentStore
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
    private let expected: ExpectedImages
    private let clock: any TimeSource

    init(
        images: OpenedImages, opener: ImageOpener, register: ChainRegister, mounts: ChainMounts, start: ChainStart,
        expected: ExpectedImages, clock: any TimeSource
    ) {
        self.images = Guarded(images)
        self.opener = opener
        self.register = register
        self.mounts = mounts
        self.start = start
        self.expected = expected
        self.clock = clock
    }

    public func prepareLayer(_ request: RemoteLayerRequest) async -> RemoteLayerOutcome {
        do throws(FallbackReason) {
            let reference: ImageReference
            do {
                reference = try ImageReference(parsing: request.imageReference)
            } catch {
                throw FallbackReason(.badLabel, "\(error)")
            }
            let image = try await image(reference, request)
            let (content, isTop) = try image.layer(request.layerDigest)
            try await register.record(
                request.chainID, parent: request.parentChainID,
                layer: RemoteLayer(digest: request.layerDigest, repository: reference.repository))
            if isTop { prepareContainer(of: image, request) }
            // Report the size of the complete layer: containerd asks only once, when almost nothing has been fetched.
            return .ready(size: content.chunks.contentSize, inodes: content.tree.inodeCount)
        } catch {
            return .declined(reason: error)
        }
    }

    /// Begins to merge and mount the image's tree, because a container is likely to be created soon. Meanwhile,
    /// containerd finishes the pull.
    private func prepareContainer(of image: OpenedImage, _ request: RemoteLayerRequest) {
        if let manifest = request.manifestDigest { start.recorder.note(request.chainID, isOf: manifest) }
        Task {
            _ = try? await mounts.bringUp(request.chainID)
            if let command = await image.start.value { start.configure(request.chainID, command) }
        }
    }

    public func expectImages() {
        expected.expect()
    }

    public func mountedDirectory(ofChain chainID: Digest) async throws -> String {
        try await mounts.bringUp(chainID)
    }

    public func isUsable(chainID: Digest) async -> Bool {
        await register.isUsable(chainID)
    }

    public func forget(chainID: Digest) async {
        await mounts.forget(chainID)
    }

    /// Returns the image of `request`. Opens the image unless an earlier call has begun to do so.
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
