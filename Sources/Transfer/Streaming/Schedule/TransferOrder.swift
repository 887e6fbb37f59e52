import Planner

/// A transfer that the scheduler orders.
enum TransferOrder: Sendable {
    case ranges(RangeOrder)
    case pack(PackOrder)
}

/// The order to request ranges of a layer's blob.
struct RangeOrder: Sendable {
    let request: FetchRequest
    let layer: AttachedLayer
    /// The gate at which the request waits while the planner serves more urgent requests.
    let gate: RequestGate
}

/// The order to receive a startup pack.
struct PackOrder: Sendable {
    let id: DeliveryID
    let source: HintSource
    let request: PackRequest
    /// The IDs of the image's attached layers.
    let layers: Set<LayerID>
}
