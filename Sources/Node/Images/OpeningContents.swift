import Artifacts
import Base
import Concurrency
import ContentStore
import Prediction
import Registry
import Streaming

/// The payloads of an opening: everything that its plan names by digest only.
struct OpeningContents: Sendable {
    /// A startup pack on its way.
    struct Pack: Sendable {
        let request: PackRequest
        let isPredicted: Bool
    }

    /// Layers from the store or opened.
    var layers: [Digest: StoredLayer] = [:]
    /// The ends of blobs that the opening of layers read.
    var tails: [Digest: BlobPart] = [:]
    /// Announced indexes, on their way or here.
    var indexes: [Digest: Task<[UInt8], any Error>] = [:]
    /// The request for an announced startup pack.
    var earlyPack: PackRequest?
    /// The artifact's startup pack.
    var pack: Pack?
    /// The first entries of the profile that fits.
    var profile: Profile?
    var configuration: ImageConfiguration?
    var artifact: StreamingArtifact?
    /// The command of the container, once the plan says if it is of use.
    let announcement = OneShot<ContainerStart?>()

    /// The command of the container, from the configuration.
    var start: ContainerStart? { configuration.map { ContainerStart($0) } }

    /// Returns the opened image.
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

    /// Returns the source of a layer, with its payload.
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

    /// Cancels every request that nobody took over.
    mutating func dropRest() {
        for task in indexes.values { task.cancel() }
        (indexes, earlyPack, pack) = ([:], nil, nil)
    }
}
