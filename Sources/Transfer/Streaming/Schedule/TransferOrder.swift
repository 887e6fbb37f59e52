import Planner

/// A command of the scheduler to transfer bytes from a registry.
enum TransferOrder: Sendable {
    case ranges(RangeOrder)
    case pack(PackOrder)
    case recovery(RecoveryOrder)
}

/// A command to request ranges of a layer's blob.
struct RangeOrder: Sendable {
    let request: FetchRequest
    let layer: AttachedLayer
    /// The gate at which the request waits while the planner serves more urgent requests.
    let gate: RequestGate
}

/// A command to receive a startup pack.
struct PackOrder: Sendable {
    let id: DeliveryID
    let source: HintSource
    let request: PackRequest
    /// The IDs of the image's attached layers.
    let layers: Set<LayerID>
}

/// A command to recover a layer (``RecoveryReceiver``).
struct RecoveryOrder: Sendable {
    let layer: AttachedLayer
    /// The reason why requests for ranges cannot bring chunks of the layer.
    let reason: String
}
