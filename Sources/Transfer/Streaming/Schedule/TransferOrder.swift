import Planner

/// A transfer that the scheduler orders.
enum TransferOrder: Sendable {
    case ranges(RangeOrder)
    case pack(PackOrder)
}

/// A request for ranges of a layer's blob.
struct RangeOrder: Sendable {
    let request: FetchRequest
    let layer: AttachedLayer
    /// The gate at which the request pauses.
    let gate: RequestGate
}

/// The delivery of a startup pack.
struct PackOrder: Sendable {
    let id: DeliveryID
    let source: HintSource
    let request: PackRequest
    /// The IDs of the image's attached layers.
    let layers: Set<LayerID>
}
