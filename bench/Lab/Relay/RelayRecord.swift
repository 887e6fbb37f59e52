public import Base

/// One HTTP request that went through a relay.
public struct RelayRequest: Sendable {
    /// When its head was complete at the relay.
    public let at: MonotonicTime
    public let method: String
    /// Path with query.
    public let path: String
    /// The Range header's value.
    public let range: String?
    /// The User-Agent header's value: containerd's own requests and the snapshotter's are told apart by it.
    public let agent: String?
    /// What has been delivered to the node for it, response head included.
    public internal(set) var bytes: UInt64 = 0
    /// When the last of these was delivered.
    public internal(set) var lastByte: MonotonicTime?

    /// What it asks for.
    public enum Kind: Sendable, Equatable {
        case manifest
        case blob(String)
        case other
    }

    /// The distribution-spec's end point that the path belongs to.
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

/// Everything that went through a relay since it was last asked to forget.
public struct RelayRecord: Sendable {
    /// In the order of their arrival.
    public internal(set) var requests: [RelayRequest] = []
    /// Delivered to the node, on all connections.
    public internal(set) var bytes: UInt64 = 0
    /// Connections that the node has opened.
    public internal(set) var connections = 0
    /// How ``bytes`` grew: moments, ten milliseconds or more apart, and what it was then.
    public private(set) var timeline: [(at: MonotonicTime, bytes: UInt64)] = []

    private static let grain: UInt64 = 10_000_000

    mutating func add(_ count: UInt64, at now: MonotonicTime) {
        bytes += count
        // The last one moves on until it is a grain after the one before it.
        if timeline.count > 1, now.since(timeline[timeline.count - 2].at) < Self.grain { timeline.removeLast() }
        timeline.append((now, bytes))
    }
}
