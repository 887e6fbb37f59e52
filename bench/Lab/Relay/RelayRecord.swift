public import Base

/// One HTTP request through a relay.
public struct RelayRequest: Sendable {
    /// The time at which the request's head was complete at the relay.
    public let at: MonotonicTime
    public let method: String
    /// The path, including the query.
    public let path: String
    /// The Range header's value.
    public let range: String?
    /// The User-Agent header's value, which distinguishes containerd's own requests from the snapshotter's.
    public let agent: String?
    /// The bytes delivered to the node, including the response's head.
    public internal(set) var bytes: UInt64 = 0
    /// The time of the last delivered byte.
    public internal(set) var lastByte: MonotonicTime?

    /// The kind of a request.
    public enum Kind: Sendable, Equatable {
        case manifest
        case blob(String)
        case other
    }

    /// The kind of the endpoint that the path names in the distribution-spec.
    public var kind: Kind {
        let parts = path.prefix { $0 != "?" }.split(separator: "/")
        guard parts.first == "v2", parts.count >= 4 else { return .other }
        switch parts[parts.count - 2] {
        case "manifests": return .manifest
        case "blobs": return .blob(String(parts[parts.count - 1]))
        default: return .other
        }
    }
}

/// The record of everything that has passed through a relay since its last reset.
public struct RelayRecord: Sendable {
    /// The requests in order of arrival.
    public internal(set) var requests: [RelayRequest] = []
    /// The bytes delivered to the node on all connections.
    public internal(set) var bytes: UInt64 = 0
    /// The number of connections that the node has opened.
    public internal(set) var connections = 0
    /// The values of ``bytes`` over time, in steps of ten milliseconds or more.
    public private(set) var timeline: [(at: MonotonicTime, bytes: UInt64)] = []

    private static let grain: UInt64 = 10_000_000

    mutating func add(_ count: UInt64, at now: MonotonicTime) {
        bytes += count
        // The last entry is replaced until it is one grain after the entry before.
        if timeline.count > 1, now.since(timeline[timeline.count - 2].at) < Self.grain { timeline.removeLast() }
        timeline.append((now, bytes))
    }
}
