public import Base

/// The faults of a link.
public struct LinkFaults: Sendable, Hashable {
    /// An outage, during which open connections are reset, and new ones as soon as they are established.
    public struct Outage: Sendable, Hashable {
        /// The start of the outage, in nanoseconds after ``Relay/begin(_:)``, which is when the pod is requested.
        public var after: UInt64
        public var lasting: UInt64

        public init(after: UInt64, lasting: UInt64) {
            self.after = after
            self.lasting = lasting
        }
    }

    /// The number of bytes to the node after which each connection is reset; 0 for never.
    public var resetAfter: UInt64
    /// The probability that a response ends in a reset of its connection within the response's first 256 KiB.
    public var loss: Double
    /// The seed that determines which responses are reset.
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

/// A link: a shape and faults, which its name describes.
///
/// The name `shaped` is only a shape. An example with faults is `wan/loss=0.02/outage=2:6/cap=20/reset=1000000/seed=7`.
/// It resets the connections of two percent of the responses, and has an outage of 6 seconds from second 2. It limits
/// each connection to 20 Mbit/s, and resets each one after a million bytes.
public struct Link: Sendable, Hashable {
    public let name: String
    public let shape: LinkShape
    public let faults: LinkFaults

    /// The link of the loopback device without changes.
    public static let unshaped = Link(name: "none", shape: .unshaped, faults: .none)

    init(name: String, shape: LinkShape, faults: LinkFaults) {
        self.name = name
        self.shape = shape
        self.faults = faults
    }

    /// Parses a link's name.
    /// - Throws: `usage` with the known names.
    public init(_ name: String) throws(LabError) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard var shape = parts.first.flatMap({ LinkShape.named[String($0)] }) else {
            let names = LinkShape.named.keys.sorted().joined(separator: ", ")
            throw LabError(.usage, "unknown link '\(name)'; known: \(names)")
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

    /// Parses the names of links, separated by commas.
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
