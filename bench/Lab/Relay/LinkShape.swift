import Base

/// What the link between a node and its registry is like.
public struct LinkShape: Sendable, Equatable {
    /// Bits a second from the registry to the node, shared by all connections; 0: as fast as the machine.
    public var bitsPerSecond: UInt64
    /// Nanoseconds for a byte to the other end; half of a round trip.
    public var oneWayDelay: UInt64
    /// Nanoseconds that the registry's store takes before the first byte of each answer.
    public var firstByteDelay: UInt64

    public init(bitsPerSecond: UInt64 = 0, oneWayDelay: UInt64 = 0, firstByteDelay: UInt64 = 0) {
        self.bitsPerSecond = bitsPerSecond
        self.oneWayDelay = oneWayDelay
        self.firstByteDelay = firstByteDelay
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

    /// Bytes that one connection may have on the way: twice what fills the link, and never little.
    var window: Int {
        let roundTrip = 2 * oneWayDelay + firstByteDelay
        let product = Double(bitsPerSecond) / 8 * Double(roundTrip) / 1e9
        return max(256 << 10, Int(min(2 * product, 67_108_864)))
    }
}

/// The moments at which bytes leave the link, decided without a clock of its own: a rate shared in order of arrival.
struct LinkSchedule {
    let shape: LinkShape
    private var free = MonotonicTime(nanoseconds: 0)

    init(shape: LinkShape) {
        self.shape = shape
    }

    /// When `bytes` that the registry's side hands over at `now` have reached the node, if they may not start before
    /// `earliest`.
    mutating func delivery(of bytes: Int, at now: MonotonicTime, notBefore earliest: MonotonicTime) -> MonotonicTime {
        guard shape.bitsPerSecond > 0 else { return max(now, earliest).advanced(by: shape.oneWayDelay) }
        let start = max(now, earliest, free)
        free = start.advanced(by: UInt64(Double(bytes) * 8e9 / Double(shape.bitsPerSecond)))
        return free.advanced(by: shape.oneWayDelay)
    }
}
