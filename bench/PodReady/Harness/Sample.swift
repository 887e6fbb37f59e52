public import Base
public import Lab

/// The result of one start of a pod. Times are in seconds: of one call, or since the pod was requested.
public struct Sample: Sendable {
    public let sandbox: Double
    /// Includes the lead in the mode `stream`.
    public let pull: Double
    public let create: Double
    public let start: Double
    /// From the request for the pod until its application was ready.
    public let ready: Double
    /// From the request for the pod until every byte of the image was local; `nil` if that was not awaited or
    /// determined.
    public let complete: Double?
    /// The moment of the request for the pod.
    public let began: MonotonicTime
    /// The node's requests and received bytes until it was ready.
    public let record: RelayRecord
    /// Moments, and the bytes received by then, until the end of the observation.
    public let timeline: [(seconds: Double, bytes: UInt64)]
    /// The usage of unpacking and serving until ready: of the snapshotter's daemon, or of containerd without one.
    public let usage: ProcessUsage?
    /// The link's own CPU time until ready.
    public let relayCPU: Double
    /// The bytes fetched before any demand, if the daemon counts them.
    public let foreseen: Foreseen?

    public var bytes: UInt64 { record.bytes }
    public var requests: Int { record.requests.count }
}

/// The bytes of extents that a daemon fetched until ready because of a profile or prediction, and the read part of
/// them. Startup packs are in neither.
public struct Foreseen: Sendable {
    public let profiled, profiledRead: UInt64
    public let predicted, predictedRead: UInt64

    /// - Parameter metrics: the daemon's metrics.
    init(_ metrics: [String: Double]) {
        func bytes(_ name: String) -> UInt64 { UInt64(metrics["rivulet_\(name)_total"] ?? 0) }
        (profiled, profiledRead) = (bytes("hinted_bytes"), bytes("hinted_bytes_read"))
        (predicted, predictedRead) = (bytes("predicted_bytes"), bytes("predicted_bytes_read"))
    }
}
