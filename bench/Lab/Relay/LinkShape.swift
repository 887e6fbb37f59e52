import Base

/// What the link between a node and its registry is like.
public struct LinkShape: Sendable, Hashable {
    /// Bits a second from the registry to the node, shared by all connections; 0: as fast as the machine.
    public var bitsPerSecond: UInt64
    /// Nanoseconds for a byte to the other end; half of a round trip.
    public var oneWayDelay: UInt64
    /// Nanoseconds that the registry's store takes before the first byte of each answer.
    public var firstByteDelay: UInt64
    /// Bits a second that one connection gets at most, as object stores give them; 0: all that the link has.
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

    /// Loopback as it is.
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

    /// Seconds that `bytes` take on it at least, without any delay.
    public func seconds(for bytes: UInt64) -> Double {
        bitsPerSecond == 0 ? 0 : Double(bytes) * 8 / Double(bitsPerSecond)
    }

    /// Seconds from one end to the other and back.
    public var roundTrip: Double { Double(2 * oneWayDelay) / 1e9 }

    /// Bytes that one connection may have on the way: twice what fills the link, and never little.
    var window: Int {
        let roundTrip = 2 * oneWayDelay + firstByteDelay
        let product = Double(bitsPerSecond) / 8 * Double(roundTrip) / 1e9
        return max(256 << 10, Int(min(2 * product, 67_108_864)))
    }
}

/// The moments at which bytes leave the link, decided without a clock of its own: a rate shared in order of arrival.
struct LinkSchedule {
    var shape: LinkShape
    private var free = MonotonicTime(nanoseconds: 0)

    init(shape: LinkShape) {
        self.shape = shape
    }

    /// When `bytes` that the registry's side hands over at `now` have reached the node, if they may not start before
    /// `earliest`. `connectionFree` is when the connection's own share lets the next ones go, which this moves on.
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
