import NIOCore
import Planner

/// An extent or a frame of a startup pack whose compressed bytes have all arrived.
struct DecodeJob: Sendable {
    enum Work: Sendable {
        /// An extent of a layer.
        case extent(AttachedLayer, Int)
        /// A frame of a startup pack.
        case frame(PackFrame)
    }

    let work: Work
    /// The compressed bytes, as slices of the network's buffers, so that nothing copies them before decoding.
    let pieces: [ByteBuffer]
    let byteCount: Int

    /// The layers whose chunks the job contains, each once.
    var layers: [AttachedLayer] {
        switch work {
        case .extent(let layer, _): [layer]
        case .frame(let frame):
            Dictionary(grouping: frame.items.compactMap(\.layer), by: \.id).values.compactMap(\.first)
        }
    }

    func isExtent(_ extent: Int, of layer: LayerID) -> Bool {
        guard case .extent(let own, let number) = work else { return false }
        return own.id == layer && number == extent
    }
}

/// A frame of a startup pack, as a decoding job.
struct PackFrame: Sendable {
    struct Item: Sendable {
        /// The chunk's layer; `nil` if the worker must skip the chunk, for example because the layer is not attached or
        /// its chunk table differs from the pack's.
        let layer: AttachedLayer?
        let chunk: Int
        let length: Int
    }

    let delivery: DeliveryID
    let items: [Item]
}
