import Base
public import CoreMetrics

/// All metrics of the daemon, in memory, rendered as Prometheus text (exposition format 0.0.4).
///
/// Labels come from fixed sets (classes, reasons), never from digests or image names: a node that runs for a year must
/// not gain a series for every layer. `seriesLimit` bounds the damage of a caller that gets it wrong.
public final class MetricsPage: MetricsFactory, Sendable {
    /// Returns values that a module counts itself.
    public typealias Source = @Sendable () -> [(name: String, labels: [(String, String)], value: Double)]

    private struct Series: Hashable {
        let name: String
        let labels: String
    }

    private enum Kind: String {
        case counter
        case gauge
        case summary
        case histogram
    }

    /// The state of one series. For a summary `value` is the sum.
    private struct Sample {
        let kind: Kind
        var value: Double = 0
        var count: UInt64 = 0
    }

    /// The most series; further ones are not recorded.
    private static let seriesLimit = 10_000

    private let samples = Guarded<[Series: Sample]>([:])
    private let sources = Guarded<[Source]>([])

    public init() {}

    /// Adds counters that a module keeps itself. They are read when the page is rendered.
    public func addSource(_ source: @escaping Source) {
        sources.withLock { $0.append(source) }
    }

    /// Renders the page.
    public func render() -> String {
        var byName: [String: (kind: Kind, lines: [String])] = [:]
        for (series, sample) in samples.withLock({ $0 }) {
            var lines = byName[series.name]?.lines ?? []
            if sample.kind == .summary {
                lines.append("\(series.name)_sum\(series.labels) \(Self.number(sample.value))")
                lines.append("\(series.name)_count\(series.labels) \(sample.count)")
            } else {
                lines.append("\(series.name)\(series.labels) \(Self.number(sample.value))")
            }
            byName[series.name] = (sample.kind, lines)
        }
        for source in sources.withLock({ $0 }) {
            for (name, labels, value) in source() {
                let full = Self.fullName(name)
                let (family, kind) = Self.family(of: full)
                byName[family, default: (kind, [])].lines.append(
                    "\(full)\(Self.labels(labels)) \(Self.number(value))")
            }
        }
        var page = ""
        for (name, entry) in byName.sorted(by: { $0.key < $1.key }) {
            page += "# TYPE \(name) \(entry.kind.rawValue)\n"
            // A histogram's buckets are in the order of their bounds.
            let lines = entry.kind == .histogram ? entry.lines : entry.lines.sorted()
            page += lines.joined(separator: "\n") + "\n"
        }
        return page
    }

    // MARK: - MetricsFactory

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        handler(label, dimensions, .counter)
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        handler(label, dimensions, .gauge)
    }

    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        handler(label, dimensions, aggregate ? .summary : .gauge)
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        handler(label, dimensions, .summary)
    }

    // Series outlive their handles: a new handle on a series continues its count.
    public func destroyCounter(_ handler: any CounterHandler) {}
    public func destroyMeter(_ handler: any MeterHandler) {}
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    public func destroyTimer(_ handler: any TimerHandler) {}

    // MARK: -

    private func handler(_ label: String, _ dimensions: [(String, String)], _ kind: Kind) -> Handler {
        var name = Self.fullName(label)
        if kind == .counter, !name.hasSuffix("_total") { name += "_total" }
        return Handler(page: self, series: Series(name: name, labels: Self.labels(dimensions)), kind: kind)
    }

    private func update(_ series: Series, _ kind: Kind, _ body: (inout Sample) -> Void) {
        samples.withLock { samples in
            guard samples[series] != nil || samples.count < Self.seriesLimit else { return }
            body(&samples[series, default: Sample(kind: kind)])
        }
    }

    /// Returns the metric of a source's series: a histogram's buckets, sum and count share one.
    private static func family(of name: String) -> (name: String, kind: Kind) {
        for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
            return (String(name.dropLast(suffix.count)), .histogram)
        }
        return (name, name.hasSuffix("_total") ? .counter : .gauge)
    }

    private static func fullName(_ label: String) -> String {
        let clean = String(label.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
        return clean.hasPrefix("rivulet_") ? clean : "rivulet_\(clean)"
    }

    private static func labels(_ dimensions: [(String, String)]) -> String {
        guard !dimensions.isEmpty else { return "" }
        let pairs = dimensions.map { name, value in
            var escaped = ""
            for character in value.prefix(200) {
                switch character {
                case "\\": escaped += "\\\\"
                case "\"": escaped += "\\\""
                case "\n": escaped += "\\n"
                default: escaped.append(character)
                }
            }
            return "\(name)=\"\(escaped)\""
        }
        return "{" + pairs.joined(separator: ",") + "}"
    }

    private static func number(_ value: Double) -> String {
        guard value == value.rounded(), abs(value) < 1e15 else { return "\(value)" }
        return "\(Int64(value))"
    }

    /// A handle on one series, for every kind of metric.
    private final class Handler: CounterHandler, MeterHandler, RecorderHandler, TimerHandler, Sendable {
        private let page: MetricsPage
        private let series: Series
        private let kind: Kind

        init(page: MetricsPage, series: Series, kind: Kind) {
            self.page = page
            self.series = series
            self.kind = kind
        }

        func increment(by amount: Int64) {
            page.update(series, kind) { $0.value += Double(amount) }
        }

        func increment(by amount: Double) {
            page.update(series, kind) { $0.value += amount }
        }

        func decrement(by amount: Double) {
            page.update(series, kind) { $0.value -= amount }
        }

        func reset() {
            page.update(series, kind) { $0.value = 0 }
        }

        func set(_ value: Int64) {
            set(Double(value))
        }

        func set(_ value: Double) {
            page.update(series, kind) { $0.value = value }
        }

        func record(_ value: Int64) {
            record(Double(value))
        }

        func record(_ value: Double) {
            page.update(series, kind) { sample in
                sample.value = kind == .summary ? sample.value + value : value
                sample.count += 1
            }
        }

        /// Prometheus counts seconds.
        func recordNanoseconds(_ duration: Int64) {
            record(Double(duration) / 1e9)
        }
    }
}
