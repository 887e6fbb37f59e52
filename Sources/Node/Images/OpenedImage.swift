import Base
import ContentStore
import Prediction
import Streaming

/// What became of an image when it was resolved: its layers from the bottom, each either ready or not.
struct OpenedImage: Sendable {
    /// One layer, from the bottom.
    struct Layer: Sendable {
        let digest: Digest
        /// The compressed size that the manifest gives, in bytes.
        let size: UInt64
        let content: Result<StoredLayer, FallbackReason>
    }

    let layers: [Layer]
    /// How many layers from the bottom can be streamed. Those above the first that cannot are pulled as well: containerd
    /// downloads everything above a layer that it has to unpack, so streaming them would fetch them twice.
    let streamable: Int
    /// What its configuration says that a container of it runs, if that is of use and can be had.
    let start: Task<ContainerStart?, Never>

    init(layers: [Layer], start: Task<ContainerStart?, Never>) {
        self.layers = layers
        self.start = start
        streamable = layers.prefix { if case .success = $0.content { true } else { false } }.count
    }

    /// The layers that are streamed, bottom first.
    var contents: [StoredLayer] {
        layers.prefix(streamable).compactMap { try? $0.content.get() }
    }

    /// The layer of `digest`, or why it is pulled. An image may hold one blob twice: both are then the same layer.
    func layer(_ digest: Digest) throws(FallbackReason) -> (layer: Layer, content: StoredLayer, isTop: Bool) {
        guard let index = layers.firstIndex(where: { $0.digest == digest }) else {
            throw FallbackReason(.imageMismatch, "the manifest has no layer \(digest)")
        }
        let layer = layers[index]
        let content = try layer.content.get()
        guard index < streamable else {
            throw FallbackReason(
                .parentNotRemote, "layer \(layers[streamable].digest) below it is pulled, so this one has to be")
        }
        return (layer, content, index == layers.count - 1)
    }
}
