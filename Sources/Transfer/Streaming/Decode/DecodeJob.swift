import NIOCore
import Planner

/// Compressed bytes that have all arrived.
struct DecodeJob: Sendable {
    enum Work: Sendable {
        /// An extent of a layer.
        case extent(AttachedLayer, Int)
        /// A frame of a startup pack.
        case frame(PackFrame)
    }

    let work: Work
    /// The compressed bytes as slices of the network's own buffers: they are not copied before decoding.
    let pieces: [ByteBuffer]
    let byteCount: Int

    /// The layers that it brings chunks of.
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

/// A frame of a startup pack on its way through decoding.
struct PackFrame: Sendable {
    struct Item: Sendable {
        /// `nil` when the layer is not attached or has another index: its bytes are skipped.
        let layer: AttachedLayer?
        let chunk: Int
        let length: Int
    }

    let delivery: DeliveryID
    let items: [Item]
}
