import Base

/// The rate and delays of the link between a node and its registry.
public struct LinkShape: Sendable, Hashable {
    /// The rate from the registry to the node, shared by all connections, in bits per second; 0 for unlimited.
    public var bitsPerSecond: UInt64
    /// The delay in one direction, half of a round trip, in nanoseconds.
    public var oneWayDelay: UInt64
    /// The delay of the registry's store before the first byte of each response, in nanoseconds.
    public var firstByteDelay: UInt64
    /// The rate limit of each connection, as object stores impose it, in bits per second; 0 for unlimited.
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

    /// The shape of the loopback device without changes.
    public static let unshaped = LinkShape()

    /// The shapes by name, each with rate, one-way delay and first-byte delay.
    public static let named: [String: LinkShape] = [
        "none": .unshaped,
        "lan": .init(bitsPerSecond: 10_000_000_000, oneWayDelay: 100_000, firstByteDelay: 1_000_000),
        "region": .init(bitsPerSecond: 2_000_000_000, oneWayDelay: 500_000, firstByteDelay: 30_000_000),
        "shaped": .init(bitsPerSecond: 200_000_000, oneWayDelay: 2_500_000),
        "wan": .init(bitsPerSecond: 100_000_000, oneWayDelay: 25_000_000),
        "edge": .init(bitsPerSecond: 25_000_000, oneWayDelay: 50_000_000),
    ]

    /// Returns the shortest time that the link needs for `bytes`, in seconds and without delays.
    public func seconds(for bytes: UInt64) -> Double {
        bitsPerSecond == 0 ? 0 : Double(bytes) * 8 / Double(bitsPerSecond)
    }

    /// The round-trip time in seconds.
    public var roundTrip: Double { Double(2 * oneWayDelay) / 1e9 }

    /// The limit of a connection's bytes in flight: twice the bandwidth-delay product, but between 256 KiB and 64 MiB.
    var window: Int {
        let roundTrip = 2 * oneWayDelay + firstByteDelay
        let product = Double(bitsPerSecond) / 8 * Double(roundTrip) / 1e9
        return max(256 << 10, Int(min(2 * product, 67_108_864)))
    }
}

/// The delivery times on a link whose rate is shared in order of arrival. The caller provides the time.
struct LinkSchedule {
    var shape: LinkShape
    private var free = MonotonicTime(nanoseconds: 0)

    init(shape: LinkShape) {
        self.shape = shape
    }

    /// Returns the time at which `bytes` arrive at the node.
    ///
    /// - Parameters:
    ///   - now: the time at which the registry's side delivers the bytes.
    ///   - earliest: the time before which the delivery may not start.
    ///   - connectionFree: the time from which the connection's own rate limit allows more bytes. This call advances
    ///     it.
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
