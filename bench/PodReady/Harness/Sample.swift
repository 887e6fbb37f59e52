public import Base
public import Lab

/// The result of one start of a pod. Times are in seconds, either of one call or since the pod was requested.
public struct Sample: Sendable {
    public let sandbox: Double
    /// The duration of the pull. In the mode `stream` it includes the lead.
    public let pull: Double
    public let create: Double
    public let start: Double
    /// The time from the request for the pod until its application was ready.
    public let ready: Double
    /// The time from the request for the pod until every byte of the image was local.
    ///
    /// This is `nil` if the sample did not wait for that, or could not determine it.
    public let complete: Double?
    /// The moment at which the pod was requested.
    public let began: MonotonicTime
    /// The node's requests and received bytes until the application was ready.
    public let record: RelayRecord
    /// The bytes received by certain moments, until the end of the observation.
    public let timeline: [(seconds: Double, bytes: UInt64)]
    /// The resource usage of unpacking and serving until ready, of the snapshotter's daemon or else of containerd.
    public let usage: ProcessUsage?
    /// The CPU time of the relay until ready, in seconds.
    public let relayCPU: Double
    /// The bytes fetched before any demand; `nil` if the daemon does not count them.
    public let foreseen: Foreseen?

    public var bytes: UInt64 { record.bytes }
    public var requests: Int { record.requests.count }
}

/// The bytes of extents that a daemon fetched until ready because of a profile or a prediction, and the part that was
/// read.
///
/// Startup packs are in neither number.
public struct Foreseen: Sendable {
    public let profiled, profiledRead: UInt64
    public let predicted, predictedRead: UInt64

    /// Creates the figures from the daemon's metrics.
    init(_ metrics: [String: Double]) {
        func bytes(_ name: String) -> UInt64 { UInt64(metrics["rivulet_\(name)_total"] ?? 0) }
        (profiled, profiledRead) = (bytes("hinted_bytes"), bytes("hinted_bytes_read"))
        (predicted, predictedRead) = (bytes("predicted_bytes"), bytes("predicted_bytes_read"))
    }
}
