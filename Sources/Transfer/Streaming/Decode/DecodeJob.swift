import NIOCore
import Planner

/// A decoding job: an extent (a decodable piece) of a layer's blob, a frame of a startup pack, or a part of a whole
/// blob. All of its compressed bytes have arrived.
struct DecodeJob: Sendable {
    enum Work: Sendable {
        /// An extent of a layer's blob, by its number.
        case extent(AttachedLayer, Int)
        /// A zstd frame of a startup pack.
        case frame(PackFrame)
        /// A part of a blob that ``LayerRecovery`` decodes as one stream from the blob's first byte.
        case part(LayerRecovery.Part)
    }

    let work: Work
    /// The compressed bytes, in order. They are slices of the network buffers, so that nothing copies them before
    /// decoding.
    let pieces: [ByteBuffer]
    let byteCount: Int

    /// The attached layers that have chunks in the job, each once.
    var layers: [AttachedLayer] {
        switch work {
        case .extent(let layer, _): [layer]
        case .part(let part): [part.recovery.layer]
        case .frame(let frame):
            Dictionary(grouping: frame.items.compactMap(\.layer), by: \.id).values.compactMap(\.first)
        }
    }

    func isExtent(_ extent: Int, of layer: LayerID) -> Bool {
        guard case .extent(let own, let number) = work else { return false }
        return own.id == layer && number == extent
    }
}

/// The chunks of a startup pack's frame, for the worker that decodes the frame.
struct PackFrame: Sendable {
    struct Item: Sendable {
        /// The chunk's layer; `nil` if the worker must skip the chunk. The worker skips the chunk if its layer is not
        /// attached, or if a better hint covers the layer. The worker also skips the chunk if the layer has no chunk
        /// with this number and length.
        let layer: AttachedLayer?
        let chunk: Int
        let length: Int
    }

    let delivery: DeliveryID
    /// The frame's chunks, in the order of their bytes in the decoded frame.
    let items: [Item]
}
