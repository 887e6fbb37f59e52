import Base

/// What goes wrong on a link.
public struct LinkFaults: Sendable, Hashable {
    /// A time during which nothing goes through: connections are reset, and new ones as soon as they are made.
    public struct Outage: Sendable, Hashable {
        /// Nanoseconds from ``Relay/begin(_:)``, which is when the pod is asked for.
        public var after: UInt64
        public var lasting: UInt64

        public init(after: UInt64, lasting: UInt64) {
            self.after = after
            self.lasting = lasting
        }
    }

    /// Each connection is reset when it has carried so many bytes to the node; 0: never.
    public var resetAfter: UInt64
    /// How probable it is that an answer ends in a reset of its connection, within its first 256 KiB.
    public var loss: Double
    /// Decides which answers those are.
    public var seed: UInt64
    public var outage: Outage?

    public init(resetAfter: UInt64 = 0, loss: Double = 0, seed: UInt64 = 1, outage: Outage? = nil) {
        self.resetAfter = resetAfter
        self.loss = loss
        self.seed = seed
        self.outage = outage
    }

    public static let none = LinkFaults()
}

/// A link by its name: a shape, and what is to go wrong on it.
///
/// `shaped` is the shape alone; `wan/loss=0.02/outage=2:6/cap=20/reset=1000000/seed=7` resets the connections of two answers
/// in a hundred, lets nothing through from second 2 for 6 seconds, gives each connection 20 Mbit/s at most, and
/// resets each after a million bytes.
public struct Link: Sendable, Hashable {
    public let name: String
    public let shape: LinkShape
    public let faults: LinkFaults

    /// Loopback as it is.
    public static let unshaped = Link(name: "none", shape: .unshaped, faults: .none)

    init(name: String, shape: LinkShape, faults: LinkFaults) {
        self.name = name
        self.shape = shape
        self.faults = faults
    }

    /// - Throws: `usage`, with what there is.
    public init(_ name: String) throws(LabError) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard var shape = parts.first.flatMap({ LinkShape.named[String($0)] }) else {
            let names = LinkShape.named.keys.sorted().joined(separator: ", ")
            throw LabError(.usage, "there is no link '\(name)'; there are \(names)")
        }
        var faults = LinkFaults()
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, Self.set(pair[0], pair[1], &shape, &faults) else {
                throw LabError(
                    .usage,
                    "'\(part)' of the link '\(name)' is none of cap=MBIT, loss=PROBABILITY, reset=BYTES, "
                        + "outage=AFTER:SECONDS, seed=NUMBER")
            }
        }
        self.name = name
        self.shape = shape
        self.faults = faults
    }

    /// Names separated by commas.
    public static func list(_ names: String) throws(LabError) -> [Link] {
        var links: [Link] = []
        for name in names.split(separator: ",") { links.append(try Link(String(name))) }
        return links
    }

    private static func set(
        _ key: Substring, _ value: Substring, _ shape: inout LinkShape, _ faults: inout LinkFaults
    ) -> Bool {
        switch key {
        case "cap":
            guard let rate = Double(value), rate > 0, rate < 1e6 else { return false }
            shape.bitsPerSecondOfConnection = UInt64(rate * 1e6)
        case "loss":
            guard let loss = Double(value), (0...1).contains(loss) else { return false }
            faults.loss = loss
        case "reset":
            guard let bytes = UInt64(value), bytes > 0 else { return false }
            faults.resetAfter = bytes
        case "seed":
            guard let seed = UInt64(value) else { return false }
            faults.seed = seed
        case "outage":
            let times = value.split(separator: ":").compactMap { Double($0) }
            guard times.count == 2, times.allSatisfy({ (0...86_400).contains($0) }) else { return false }
            faults.outage = .init(after: UInt64(times[0] * 1e9), lasting: UInt64(times[1] * 1e9))
        default: return false
        }
        return true
    }
}
