public import Planner

/// The options of the streaming engine.
public struct StreamingConfiguration: Sendable {
    /// The options of the planner, which decides what to fetch and when.
    public var planner = PlannerConfiguration()
    /// The number of decoding threads; `nil` for one per CPU core.
    public var decodeThreads: Int?
    /// The size, in bytes of compressed data, above which a lane of the decode queue counts as full. The queue has two
    /// lanes: one for startup packs and for data that readers wait for, one for all other data. The engine stops
    /// reading a connection while the lane with the connection's latest data is full.
    public var decodeQueueBytes = 16 << 20

    public init() {}
}
