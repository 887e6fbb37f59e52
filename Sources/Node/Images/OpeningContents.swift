import Artifacts
import Base
import Concurrency
import ContentStore
import Prediction
import Registry
import Streaming

/// The data that belongs to an ``ImageOpening``, such as opened layers and requests in flight. The plan itself holds
/// only digests.
struct OpeningContents: Sendable {
    /// A startup pack that has been requested.
    struct Pack: Sendable {
        let request: PackRequest
        let isPredicted: Bool
    }

    /// The layers that the store had.
    var stored: [ImageOpening.StoreQuery: StoredLayer] = [:]
    /// The opened layers, by the digests of their blobs.
    var layers: [Digest: StoredLayer] = [:]
    /// The memory in bytes that each opened layer takes while its chain is merged. The keys are the digests of the
    /// blobs.
    var mergeMemory: [Digest: UInt64] = [:]
    /// The turns of the image's layers to be built.
    let turns: ImageTurns
    /// The last bytes of each layer's blob, if they were read to find the table of contents. The keys are the digests
    /// of the blobs.
    var tails: [Digest: BlobPart] = [:]
    /// The tasks that fetch layer indexes of the streaming artifact early, before the artifact's manifest arrives. The
    /// keys are the digests of the indexes. A task stays here after it has finished.
    var indexes: [Digest: Task<[UInt8], any Error>] = [:]
    /// The request for a startup pack that was sent before the artifact's manifest arrived.
    var earlyPack: PackRequest?
    /// The request for the artifact's startup pack, until it is handed to the streaming engine.
    var pack: Pack?
    /// The first entries of the image's profile (``KnownProfiles/beginning(of:_:)``). If the image has no profile,
    /// these are the first entries of another image's profile from the same repository. `nil` until the look-up ends,
    /// or if the look-up finds no profile.
    var profile: Profile?
    var configuration: ImageConfiguration?
    var artifact: StreamingArtifact?
    /// The container's command, for the predictor. The value is set once the plan has decided if a prediction needs the
    /// command. The value is `nil` if the command is unknown or not needed.
    let announcement = OneShot<ContainerStart?>()

    /// The container's command, from the image's configuration.
    var start: ContainerStart? { configuration.map { ContainerStart($0) } }

    /// Returns the opened image with these outcomes of its layers.
    ///
    /// Declines each layer whose merge with all layers below it would need more than `memory` bytes. This must be
    /// decided now: the chain is merged after the pull, when containerd can no longer download a layer instead.
    ///
    /// - Parameter chainIDs: the chain IDs of the layers; `nil` if they are unknown.
    func image(
        _ outcomes: [ImageOpening.LayerOutcome], _ chainIDs: [Digest]?, memory: UInt64
    ) -> OpenedImage {
        var needed: UInt64 = 0
        return OpenedImage(
            layers: outcomes.map { outcome in
                switch outcome {
                case .streamed(let digest):
                    needed = [needed, mergeMemory[digest] ?? 0].saturatingSum()
                    guard needed <= memory else {
                        return OpenedImage.Layer(
                            digest: digest,
                            content: .failure(
                                FallbackReason(
                                    .limit,
                                    "merging the layers up to \(digest) takes \(needed >> 20) MB of memory, and limits.opening_memory allows \(memory >> 20)"
                                )))
                    }
                    return OpenedImage.Layer(
                        digest: digest,
                        content: layers[digest].map { .success($0) }
                            ?? .failure(FallbackReason(.internal, "layer \(digest) was not opened")))
                case .declined(let digest, let reason):
                    return OpenedImage.Layer(digest: digest, content: .failure(reason))
                }
            }, chainIDs: chainIDs, start: announcement)
    }

    /// Returns the plan's `source` of a layer, together with the data that opening the layer needs.
    ///
    /// - Parameter query: the query with which the plan looked for the layer in the store.
    func source(
        _ query: ImageOpening.StoreQuery, _ source: ImageOpening.LayerSource
    ) async -> LayerFetcher.Source {
        switch source {
        case .store, .shared: return stored[query].map { .store($0) } ?? .blob
        case .blob: return .blob
        case .artifact(let layer, let isIndexHere):
            let index = isIndexHere ? try? await indexes[layer.index.digest]?.value : nil
            return .artifact(layer, index: index)
        }
    }

    // MARK: - Early requests

    /// Cancels the fetch of an index.
    mutating func dropIndex(_ digest: Digest) {
        indexes.removeValue(forKey: digest)?.cancel()
    }

    /// Cancels all fetches of indexes, and all requests for startup packs that were not handed to the streaming engine.
    mutating func dropRest() {
        for task in indexes.values { task.cancel() }
        (indexes, earlyPack, pack) = ([:], nil, nil)
    }
}
