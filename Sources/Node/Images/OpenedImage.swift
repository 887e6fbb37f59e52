import Base
import Concurrency
import ContentStore
import Prediction

/// An opened image: its layers from the bottom, each either streamed or declined.
struct OpenedImage: Sendable {
    /// One layer of the image.
    struct Layer: Sendable {
        let digest: Digest
        let content: Result<StoredLayer, FallbackReason>
    }

    /// The image's layers, from the bottom.
    ///
    /// All layers above a declined layer are declined, too. containerd downloads everything above a layer that it
    /// unpacks. Streaming those layers would fetch them twice.
    let layers: [Layer]
    /// The chain IDs that the image's configuration gives its layers, from the bottom; `nil` if they are unknown.
    let chainIDs: [Digest]?
    /// The container's command, from the image's configuration. The value is `nil` if the command is unknown or not
    /// needed for a prediction.
    let start: OneShot<ContainerStart?>

    /// The number of layers that are streamed.
    var streamedCount: Int {
        layers.count { if case .success = $0.content { true } else { false } }
    }

    /// Throws ``FallbackReason/Code/imageMismatch`` if the image is known to have no layer `digest` whose chain ID is
    /// `chainID`: another image's author has named this one.
    func check(_ digest: Digest, _ chainID: Digest) throws(FallbackReason) {
        guard let chainIDs, !zip(layers, chainIDs).contains(where: { $0.digest == digest && $1 == chainID }) else {
            return
        }
        throw FallbackReason(.imageMismatch, "the image has no layer \(digest) with the chain ID \(chainID)")
    }

    /// Returns the layer with `digest`, and true if it is the top layer.
    ///
    /// If the image contains the blob twice, the result is the lower layer.
    ///
    /// - Throws: the reason why the layer was declined, or ``FallbackReason/Code/imageMismatch`` if the image has no
    ///   such layer.
    func layer(_ digest: Digest) throws(FallbackReason) -> (content: StoredLayer, isTop: Bool) {
        guard let index = layers.firstIndex(where: { $0.digest == digest }) else {
            throw FallbackReason(.imageMismatch, "the manifest has no layer \(digest)")
        }
        return (try layers[index].content.get(), index == layers.count - 1)
    }
}
