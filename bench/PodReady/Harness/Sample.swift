public import Base
public import Lab

/// What one start of a pod gave. Times in seconds: of one call, or from asking for the pod.
public struct Sample: Sendable {
    public let sandbox: Double
    /// With what led to the pod in the mode `stream`.
    public let pull: Double
    public let create: Double
    public let start: Double
    /// From asking for the pod until its application was ready.
    public let ready: Double
    /// From asking for the pod until every byte of the image was local; `nil` where nobody waited or could tell.
    public let complete: Double?
    /// When the pod was asked for.
    public let began: MonotonicTime
    /// What the node had asked for and received when it was ready.
    public let record: RelayRecord
    /// Moments, and bytes that the node had received by then, until nobody looked any more.
    public let timeline: [(seconds: Double, bytes: UInt64)]
    /// What unpacking and serving has used until ready: the snapshotter's daemon, or containerd where it has none.
    public let usage: ProcessUsage?
    /// CPU time of the link itself until ready.
    public let relayCPU: Double
    /// What was fetched before anybody had asked for it, as far as the daemon counts that.
    public let foreseen: Foreseen?

    public var bytes: UInt64 { record.bytes }
    public var requests: Int { record.requests.count }
}

/// What a daemon has fetched until ready because a profile named it or because it was predicted, and what of that was read: bytes of
/// extents. What a startup pack brings is in neither.
public struct Foreseen: Sendable {
    public let profiled, profiledRead: UInt64
    public let predicted, predictedRead: UInt64

    /// - Parameter metrics: as the daemon gives them.
    init(_ metrics: [String: Double]) {
        func bytes(_ name: String) -> UInt64 { UInt64(metrics["rivulet_\(name)_total"] ?? 0) }
        (profiled, profiledRead) = (bytes("profiled_bytes"), bytes("profiled_bytes_read"))
        (predicted, predictedRead) = (bytes("predicted_bytes"), bytes("predicted_bytes_read"))
    }
}
