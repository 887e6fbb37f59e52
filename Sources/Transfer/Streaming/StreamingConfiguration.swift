public import Planner

/// The options of the streaming engine.
public struct StreamingConfiguration: Sendable {
    /// The planner's options.
    public var planner = PlannerConfiguration()
    /// The number of threads that decode and verify; `nil` for one per CPU core.
    public var decodeThreads: Int?
    /// The limit, in bytes, of each of the two lanes of compressed data that waits for decoding: readers' data and all
    /// other data. The engine stops reading a connection while the lane of its last extent exceeds the limit.
    public var decodeQueueBytes = 16 << 20

    public init() {}
}
