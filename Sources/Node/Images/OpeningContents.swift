import Artifacts
import Base
import Concurrency
import ContentStore
import Prediction
import Registry
import Streaming

/// The payloads of an opening. Its plan names them only by digest.
struct OpeningContents: Sendable {
    /// A startup pack that has been requested.
    struct Pack: Sendable {
        let request: PackRequest
        let isPredicted: Bool
    }

    /// The layers that the store had or that were opened.
    var layers: [Digest: StoredLayer] = [:]
    /// The tails of blobs, by layer. Only layers whose opener read a tail have one.
    var tails: [Digest: BlobPart] = [:]
    /// The announced indexes, in flight or complete.
    var indexes: [Digest: Task<[UInt8], any Error>] = [:]
    /// The request for an announced startup pack.
    var earlyPack: PackRequest?
    /// The artifact's startup pack.
    var pack: Pack?
    /// The first entries of the profile that fits the image.
    var profile: Profile?
    var configuration: ImageConfiguration?
    var artifact: StreamingArtifact?
    /// The command of the container, fulfilled once the plan has decided if the command is of use; `nil` if it is not.
    let announcement = OneShot<ContainerStart?>()

    /// The command of the container, from the configuration.
    var start: ContainerStart? { configuration.map { ContainerStart($0) } }

    /// Returns the opened image with these outcomes of its layers.
    func image(_ outcomes: [ImageOpening.LayerOutcome]) -> OpenedImage {
        OpenedImage(
            layers: outcomes.map { outcome in
                switch outcome {
                case .streamed(let digest):
                    OpenedImage.Layer(
                        digest: digest,
                        content: layers[digest].map { .success($0) }
                            ?? .failure(FallbackReason(.internal, "layer \(digest) was not opened")))
                case .declined(let digest, let reason):
                    OpenedImage.Layer(digest: digest, content: .failure(reason))
                }
            }, start: announcement)
    }

    /// Returns the source that `source` names, together with its payload.
    func source(of digest: Digest, _ source: ImageOpening.LayerSource) async -> LayerFetcher.Source {
        switch source {
        case .store: return layers[digest].map { .store($0) } ?? .blob
        case .blob: return .blob
        case .artifact(let layer, let isIndexHere):
            let index = isIndexHere ? try? await indexes[layer.index.digest]?.value : nil
            return .artifact(layer, index: index, subject: artifact?.subject.digest)
        }
    }

    // MARK: - Early requests

    /// Cancels the fetch of an index.
    mutating func dropIndex(_ digest: Digest) {
        indexes.removeValue(forKey: digest)?.cancel()
    }

    /// Cancels every request that nothing has taken over.
    mutating func dropRest() {
        for task in indexes.values { task.cancel() }
        (indexes, earlyPack, pack) = ([:], nil, nil)
    }
}
