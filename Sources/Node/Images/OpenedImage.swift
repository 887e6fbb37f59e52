import Base
import Concurrency
import ContentStore
import Prediction

/// An opened image: its layers from the bottom, each either streamed or declined.
struct OpenedImage: Sendable {
    /// One layer.
    struct Layer: Sendable {
        let digest: Digest
        let content: Result<StoredLayer, FallbackReason>
    }

    /// From the bottom. All above a declined layer are declined too: containerd downloads everything above a layer
    /// that it unpacks, so to stream these would fetch them twice.
    let layers: [Layer]
    /// The command that the image's configuration names, if that is known and of use.
    let start: OneShot<ContainerStart?>

    /// The number of layers that are streamed.
    var streamedCount: Int {
        layers.count { if case .success = $0.content { true } else { false } }
    }

    /// Returns the layer of `digest`, or throws the reason for which it is declined. An image may contain one blob
    /// twice: both are then the same layer.
    func layer(_ digest: Digest) throws(FallbackReason) -> (content: StoredLayer, isTop: Bool) {
        guard let index = layers.firstIndex(where: { $0.digest == digest }) else {
            throw FallbackReason(.imageMismatch, "the manifest has no layer \(digest)")
        }
        return (try layers[index].content.get(), index == layers.count - 1)
    }
}
