public import Planner

/// How the transfer engine behaves.
public struct StreamingConfiguration: Sendable {
    /// What is fetched when.
    public var planner = PlannerConfiguration()
    /// Threads that decode and verify; `nil` for one a core.
    public var workers: Int?
    /// Compressed bytes that may wait for decoding, for readers and for everything else each. A connection whose bytes find
    /// no room is not read from.
    public var decodeQueueBytes = 16 << 20

    public init() {}
}
