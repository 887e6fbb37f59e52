import Base

/// The rate and delays of the link between a node and its registry.
public struct LinkShape: Sendable, Hashable {
    /// The bits a second from the registry to the node, shared by all connections; 0: unlimited.
    public var bitsPerSecond: UInt64
    /// The nanoseconds of one direction: half of a round trip.
    public var oneWayDelay: UInt64
    /// The nanoseconds that the registry's store takes before the first byte of each response.
    public var firstByteDelay: UInt64
    /// The bits a second of one connection, limited as by object stores; 0: unlimited.
    public var bitsPerSecondOfConnection: UInt64

    public init(
        bitsPerSecond: UInt64 = 0, oneWayDelay: UInt64 = 0, firstByteDelay: UInt64 = 0,
        bitsPerSecondOfConnection: UInt64 = 0
    ) {
        self.bitsPerSecond = bitsPerSecond
        self.oneWayDelay = oneWayDelay
        self.firstByteDelay = firstByteDelay
        self.bitsPerSecondOfConnection = bitsPerSecondOfConnection
    }

    /// Loopback without changes.
    public static let unshaped = LinkShape()

    /// The named shapes: round-trip time, rate, first-byte delay.
    public static let named: [String: LinkShape] = [
        "none": .unshaped,
        "lan": .init(bitsPerSecond: 10_000_000_000, oneWayDelay: 100_000, firstByteDelay: 1_000_000),
        "region": .init(bitsPerSecond: 2_000_000_000, oneWayDelay: 500_000, firstByteDelay: 30_000_000),
        "shaped": .init(bitsPerSecond: 200_000_000, oneWayDelay: 2_500_000),
        "wan": .init(bitsPerSecond: 100_000_000, oneWayDelay: 25_000_000),
        "edge": .init(bitsPerSecond: 25_000_000, oneWayDelay: 50_000_000),
    ]

    /// Returns the least time for `bytes` in seconds, without any delay.
    public func seconds(for bytes: UInt64) -> Double {
        bitsPerSecond == 0 ? 0 : Double(bytes) * 8 / Double(bitsPerSecond)
    }

    /// The round trip in seconds.
    public var roundTrip: Double { Double(2 * oneWayDelay) / 1e9 }

    /// The bytes in flight of one connection: twice the bandwidth-delay product, with a minimum.
    var window: Int {
        let roundTrip = 2 * oneWayDelay + firstByteDelay
        let product = Double(bitsPerSecond) / 8 * Double(roundTrip) / 1e9
        return max(256 << 10, Int(min(2 * product, 67_108_864)))
    }
}

/// The delivery times on a link, without a clock of its own: a rate shared in order of arrival.
struct LinkSchedule {
    var shape: LinkShape
    private var free = MonotonicTime(nanoseconds: 0)

    init(shape: LinkShape) {
        self.shape = shape
    }

    /// Returns the arrival time at the node of `bytes` that the registry's side delivers at `now`, if they may not
    /// start before `earliest`. `connectionFree` is the time when the connection's own share allows the next bytes; it
    /// is advanced.
    mutating func delivery(
        of bytes: Int, at now: MonotonicTime, notBefore earliest: MonotonicTime,
        connectionFree: inout MonotonicTime
    ) -> MonotonicTime {
        var start = max(now, earliest)
        if shape.bitsPerSecondOfConnection > 0 {
            start = max(start, connectionFree)
            connectionFree = start.advanced(by: Self.time(bytes, shape.bitsPerSecondOfConnection))
        }
        guard shape.bitsPerSecond > 0 else { return max(start, connectionFree).advanced(by: shape.oneWayDelay) }
        start = max(start, free)
        free = start.advanced(by: Self.time(bytes, shape.bitsPerSecond))
        return max(free, connectionFree).advanced(by: shape.oneWayDelay)
    }

    private static func time(_ bytes: Int, _ bitsPerSecond: UInt64) -> UInt64 {
        UInt64(Double(bytes) * 8e9 / Double(bitsPerSecond))
    }
}
