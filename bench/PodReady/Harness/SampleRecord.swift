import Lab

/// One sample as a line of a results file. ``CodingKeys`` lists the names in the file. An unknown value is `null`.
public struct SampleRecord: Sendable, Equatable {
    /// The identity of a sample in its results file.
    public struct Key: Sendable, Hashable {
        public var image: String
        public var edition: String
        public var network: String
        public var mode: String
        /// The block's number, counted from 0.
        public var block: Int

        public init(image: String, edition: String, network: String, mode: String, block: Int) {
            self.image = image
            self.edition = edition
            self.network = network
            self.mode = mode
            self.block = block
        }
    }

    public var key: Key
    public var sandbox: Double?
    public var pull: Double?
    public var create: Double?
    public var start: Double?
    public var ready: Double?
    public var complete: Double?
    /// The shortest time that is physically possible; see ``NeedsRecord/floor(over:)``.
    public var floor: Double?
    public var bytesToReady: UInt64?
    public var bytesTotal: UInt64?
    public var requestsToReady: Int?
    public var daemonCPU: Double?
    public var daemonPeakBytes: UInt64?
    public var relayCPU: Double?
    /// The duration of the sample in seconds, including setup and teardown.
    public var took: Double
    /// The reason why figures are missing, with the end of the logs; `nil` for a successful sample.
    public var error: String?
    /// Pairs of a time in seconds and the bytes that had arrived by then. There are at most ``timelineLength`` pairs.
    public var timeline: [[Double]] = []

    public static let timelineLength = 200
    private static let longestError = 4000

    /// Creates the record of a successful sample.
    public init(_ key: Key, _ sample: Sample, total: UInt64, floor: Double?, took: Double) {
        self.key = key
        sandbox = Self.micro(sample.sandbox)
        pull = Self.micro(sample.pull)
        create = Self.micro(sample.create)
        start = Self.micro(sample.start)
        ready = Self.micro(sample.ready)
        complete = sample.complete.map(Self.micro)
        self.floor = floor.map(Self.micro)
        bytesToReady = sample.bytes
        bytesTotal = total
        requestsToReady = sample.requests
        daemonCPU = sample.usage.map { Self.micro($0.cpuSeconds) }
        daemonPeakBytes = sample.usage?.peakResidentBytes
        relayCPU = Self.micro(sample.relayCPU)
        self.took = Self.micro(took)
        timeline = Self.thin(sample.timeline.map { [Self.micro($0.seconds), Double($0.bytes)] })
    }

    /// Creates the record of a failed sample.
    public init(_ key: Key, failure: any Error, total: UInt64, floor: Double?, took: Double) {
        self.key = key
        self.floor = floor.map(Self.micro)
        bytesTotal = total
        self.took = Self.micro(took)
        // The text begins with the reason and ends with the end of the logs, so both ends are kept.
        let text = "\(failure)"
        error =
            text.count <= Self.longestError
            ? text : text.prefix(Self.longestError / 4) + "\n…\n" + text.suffix(Self.longestError / 4 * 3)
    }

    private static func micro(_ seconds: Double) -> Double { (seconds * 1e6).rounded() / 1e6 }

    /// Returns at most ``timelineLength`` evenly spaced points, always including the last one.
    static func thin(_ points: [[Double]]) -> [[Double]] {
        guard points.count > timelineLength, let last = points.last else { return points }
        let kept = timelineLength - 1
        return (0..<kept).map { points[$0 * (points.count - 1) / kept] } + [last]
    }
}

extension SampleRecord: Codable {
    enum CodingKeys: String, CodingKey {
        case record, image, edition, network, mode, block
        case sandbox = "sandbox_s"
        case pull = "pull_s"
        case create = "create_s"
        case start = "start_s"
        case ready = "ready_s"
        case complete = "complete_s"
        case floor = "floor_s"
        case bytesToReady = "bytes_to_ready"
        case bytesTotal = "bytes_total"
        case requestsToReady = "requests_to_ready"
        case daemonCPU = "daemon_cpu_s"
        case daemonPeakBytes = "daemon_rss_peak_bytes"
        case relayCPU = "relay_cpu_s"
        case took = "took_s"
        case error, timeline
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        key = Key(
            image: try values.decode(String.self, forKey: .image),
            edition: try values.decode(String.self, forKey: .edition),
            network: try values.decode(String.self, forKey: .network),
            mode: try values.decode(String.self, forKey: .mode), block: try values.decode(Int.self, forKey: .block))
        sandbox = try values.decodeIfPresent(Double.self, forKey: .sandbox)
        pull = try values.decodeIfPresent(Double.self, forKey: .pull)
        create = try values.decodeIfPresent(Double.self, forKey: .create)
        start = try values.decodeIfPresent(Double.self, forKey: .start)
        ready = try values.decodeIfPresent(Double.self, forKey: .ready)
        complete = try values.decodeIfPresent(Double.self, forKey: .complete)
        floor = try values.decodeIfPresent(Double.self, forKey: .floor)
        bytesToReady = try values.decodeIfPresent(UInt64.self, forKey: .bytesToReady)
        bytesTotal = try values.decodeIfPresent(UInt64.self, forKey: .bytesTotal)
        requestsToReady = try values.decodeIfPresent(Int.self, forKey: .requestsToReady)
        daemonCPU = try values.decodeIfPresent(Double.self, forKey: .daemonCPU)
        daemonPeakBytes = try values.decodeIfPresent(UInt64.self, forKey: .daemonPeakBytes)
        relayCPU = try values.decodeIfPresent(Double.self, forKey: .relayCPU)
        took = try values.decode(Double.self, forKey: .took)
        error = try values.decodeIfPresent(String.self, forKey: .error)
        timeline = try values.decodeIfPresent([[Double]].self, forKey: .timeline) ?? []
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode("sample", forKey: .record)
        try values.encode(key.image, forKey: .image)
        try values.encode(key.edition, forKey: .edition)
        try values.encode(key.network, forKey: .network)
        try values.encode(key.mode, forKey: .mode)
        try values.encode(key.block, forKey: .block)
        // This does not use encodeIfPresent, because a reader may rely on every name.
        try values.encode(sandbox, forKey: .sandbox)
        try values.encode(pull, forKey: .pull)
        try values.encode(create, forKey: .create)
        try values.encode(start, forKey: .start)
        try values.encode(ready, forKey: .ready)
        try values.encode(complete, forKey: .complete)
        try values.encode(floor, forKey: .floor)
        try values.encode(bytesToReady, forKey: .bytesToReady)
        try values.encode(bytesTotal, forKey: .bytesTotal)
        try values.encode(requestsToReady, forKey: .requestsToReady)
        try values.encode(daemonCPU, forKey: .daemonCPU)
        try values.encode(daemonPeakBytes, forKey: .daemonPeakBytes)
        try values.encode(relayCPU, forKey: .relayCPU)
        try values.encode(took, forKey: .took)
        try values.encode(error, forKey: .error)
        try values.encode(timeline, forKey: .timeline)
    }
}
