public import Planner

/// The options of the streaming engine.
public struct StreamingConfiguration: Sendable {
    /// The planner's options.
    public var planner = PlannerConfiguration()
    /// The number of threads that decode and verify; `nil` for one per core.
    public var decodeThreads: Int?
    /// The most compressed bytes that wait for decoding, for readers and for everything else each. A connection whose
    /// bytes find no room is not read.
    public var decodeQueueBytes = 16 << 20

    public init() {}
}
