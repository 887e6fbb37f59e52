public import Planner

/// The options of the streaming engine.
public struct StreamingConfiguration: Sendable {
    /// The planner's options.
    public var planner = PlannerConfiguration()
    /// The number of decoding threads; `nil` for one per CPU core.
    public var decodeThreads: Int?
    /// The limit, in bytes, of each lane of the decode queue. One lane holds the compressed extents that readers wait
    /// for and the frames of startup packs, the other lane all other extents. The engine stops reading a connection
    /// while the lane of its last extent or frame exceeds the limit.
    public var decodeQueueBytes = 16 << 20

    public init() {}
}
