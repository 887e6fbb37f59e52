import FoundationEssentials
import Lab

/// The summary of a results file's samples.
///
/// It omits nothing: a failed sample counts as failed, and slower results are shown as plainly as faster ones.
public struct Summary: Sendable, Encodable {
    /// The median, the 95th percentile and the maximum of a figure.
    public struct Spread: Sendable, Codable, Equatable {
        public var median: Double
        public var p95: Double
        public var max: Double
        /// The bootstrap interval of the median.
        public var interval: Statistics.Interval

        init?(_ values: [Double]) {
            guard let median = Statistics.median(values), let p95 = Statistics.quantile(0.95, of: values),
                let max = values.max(), let interval = Statistics.medianInterval(values)
            else { return nil }
            self.median = median
            self.p95 = p95
            self.max = max
            self.interval = interval
        }
    }

    /// The figures of one image on one network in one mode.
    public struct Cell: Sendable, Codable {
        public var image: String
        public var edition: String
        public var network: String
        public var mode: String
        public var samples: Int
        public var failed: Int
        /// The time until ready, in seconds.
        public var ready: Spread?
        /// The median; the figures below are medians, too, unless stated otherwise.
        public var pull: Double?
        public var complete: Double?
        public var bytesToReady: Double?
        public var bytesTotal: Double?
        public var requestsToReady: Double?
        public var daemonCPU: Double?
        /// The largest peak memory of all samples.
        public var daemonPeakBytes: UInt64?
        public var floor: Double?
        /// The median of floor ÷ ready.
        public var floorEfficiency: Double?

        enum CodingKeys: String, CodingKey {
            case image, edition, network, mode, samples, failed
            case ready = "ready_s"
            case pull = "pull_s"
            case complete = "complete_s"
            case bytesToReady = "bytes_to_ready"
            case bytesTotal = "bytes_total"
            case requestsToReady = "requests_to_ready"
            case daemonCPU = "daemon_cpu_s"
            case daemonPeakBytes = "daemon_rss_peak_bytes"
            case floor = "floor_s"
            case floorEfficiency = "floor_efficiency"
        }
    }

    /// The ratio of one mode's time to that of another. If it is above 1, the other mode is faster.
    public struct Ratio: Sendable, Encodable {
        /// The image; `nil` for all images together.
        public var image: String?
        public var edition: String
        public var network: String
        public var mode: String
        /// The mode in the denominator.
        public var than: String
        /// The number of blocks in which both samples succeeded; for all images together, the number of images.
        public var pairs: Int
        /// The number of blocks of the image that has the fewest.
        public var blocks: Int
        /// The median of the blocks' ratios; for all images together, the geometric mean of the images' medians.
        public var ratio: Double
        public var interval: Statistics.Interval

        /// The fewest blocks for a verdict. With fewer blocks, 95 % confidence is impossible even if all values are on
        /// one side of 1. By chance, that happens once in 2 to the power of (blocks - 1).
        static let fewestBlocks = 6

        /// The conclusion as a phrase.
        public var verdict: String {
            if blocks < Self.fewestBlocks { return "too few blocks to tell" }
            return interval.low > 1
                ? "\(than) is sooner" : interval.high < 1 ? "\(than) is later" : "no difference shown"
        }

        enum CodingKeys: String, CodingKey {
            case image, edition, network, mode, than, pairs, blocks, ratio, interval, verdict
        }

        public func encode(to encoder: any Encoder) throws {
            var values = encoder.container(keyedBy: CodingKeys.self)
            try values.encode(image, forKey: .image)
            try values.encode(edition, forKey: .edition)
            try values.encode(network, forKey: .network)
            try values.encode(mode, forKey: .mode)
            try values.encode(than, forKey: .than)
            try values.encode(pairs, forKey: .pairs)
            try values.encode(blocks, forKey: .blocks)
            try values.encode(ratio, forKey: .ratio)
            try values.encode(interval, forKey: .interval)
            try values.encode(verdict, forKey: .verdict)
        }
    }

    public let header: HeaderRecord?
    public let cells: [Cell]
    /// The ratios, image by image, and then for all images of a network together.
    public let ratios: [Ratio]

    public init(_ content: ResultsFile.Content) {
        header = content.header
        var order: [Group] = []
        var groups: [Group: [SampleRecord]] = [:]
        for sample in content.samples {
            let group = Group(sample.key)
            if groups[group] == nil { order.append(group) }
            groups[group, default: []].append(sample)
        }
        order.sort { $0.sortKey < $1.sortKey }
        cells = order.map { Self.cell($0, groups[$0] ?? []) }
        ratios = Self.ratios(order, groups)
    }

    /// The identity of a cell.
    struct Group: Hashable {
        var image: String
        var edition: String
        var network: String
        var mode: String

        init(_ key: SampleRecord.Key) {
            image = key.image
            edition = key.edition
            network = key.network
            mode = key.mode
        }

        /// The key that sorts networks from fast to slow and modes in the order of their list.
        var sortKey: (String, Int, String, String, Int) {
            let networks = ["none", "lan", "region", "shaped", "wan", "edge"]
            let base = String(network.prefix { $0 != "/" })
            let modes = Modes.all.map(\.name)
            return (
                edition, networks.firstIndex(of: base) ?? networks.count, network, image,
                modes.firstIndex(of: mode) ?? modes.count
            )
        }
    }

    private static func cell(_ group: Group, _ samples: [SampleRecord]) -> Cell {
        let good = samples.filter { $0.error == nil }
        let efficiencies = good.compactMap { sample -> Double? in
            guard let floor = sample.floor, let ready = sample.ready, ready > 0 else { return nil }
            return floor / ready
        }
        return Cell(
            image: group.image, edition: group.edition, network: group.network, mode: group.mode,
            samples: samples.count, failed: samples.count - good.count, ready: Spread(good.compactMap(\.ready)),
            pull: Statistics.median(good.compactMap(\.pull)), complete: Statistics.median(good.compactMap(\.complete)),
            bytesToReady: Statistics.median(good.compactMap { $0.bytesToReady.map { Double($0) } }),
            bytesTotal: Statistics.median(good.compactMap { $0.bytesTotal.map { Double($0) } }),
            requestsToReady: Statistics.median(good.compactMap { $0.requestsToReady.map { Double($0) } }),
            daemonCPU: Statistics.median(good.compactMap(\.daemonCPU)),
            daemonPeakBytes: good.compactMap(\.daemonPeakBytes).max(),
            floor: Statistics.median(samples.compactMap(\.floor)), floorEfficiency: Statistics.median(efficiencies))
    }

    /// Writes the summary to `<name>.summary.json` beside `<name>.jsonl`.
    public func write(beside results: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let base = results.hasSuffix(".jsonl") ? String(results.dropLast(6)) : results
        let text = String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        try Files.write("\(base).summary.json", text)
    }
}
