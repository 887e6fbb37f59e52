public import Base
public import CoreMetrics

/// All metrics of the daemon, rendered as Prometheus text (exposition format 0.0.4).
///
/// A module either keeps its own values and provides a ``Source``, or counts through swift-metrics. Labels have values
/// from fixed sets (classes, reasons), never digests or image names. Otherwise, the number of series would grow with
/// each layer. `seriesLimit` bounds that number even if a caller breaks this rule.
public final class MetricsPage: MetricsFactory, Sendable {
    /// A function that returns the metrics of a module that keeps its own values.
    public typealias Source = @Sendable () -> [MetricFamily]

    /// The type of a metric.
    private typealias Kind = MetricDefinition.Kind

    private struct Series: Hashable {
        let name: String
        let labels: String
    }

    /// The state of one series. For a summary, `value` is the sum of the recorded values, and `count` is their number.
    private struct Sample {
        let kind: Kind
        var value: Double = 0
        var count: UInt64 = 0
    }

    /// The maximum number of series that modules may create through swift-metrics. Values of further series are
    /// ignored.
    private static let seriesLimit = 10_000

    private let samples = Guarded<[Series: Sample]>([:])
    private let sources = Guarded<[Source]>([])
    /// The help texts of the metrics that modules count through swift-metrics, keyed by full name.
    private let help: [String: String]

    /// Creates a page. `definitions` are the metrics that modules count through swift-metrics.
    public init(definitions: [MetricDefinition] = []) {
        help = Dictionary(definitions.map { (Self.fullName($0.name), $0.help) }) { first, _ in first }
    }

    /// Adds a source of metrics. Each call of ``render()`` calls the source.
    public func addSource(_ source: @escaping Source) {
        sources.withLock { $0.append(source) }
    }

    /// Returns the page as text.
    public func render() -> String {
        var byName: [String: Entry] = [:]
        for (series, sample) in samples.withLock({ $0 }) {
            var entry = byName[series.name] ?? Entry(kind: sample.kind, help: help[series.name])
            if sample.kind == .summary {
                entry.lines.append("\(series.name)_sum\(series.labels) \(Self.number(sample.value))")
                entry.lines.append("\(series.name)_count\(series.labels) \(sample.count)")
            } else {
                entry.lines.append("\(series.name)\(series.labels) \(Self.number(sample.value))")
            }
            byName[series.name] = entry
        }
        for entry in byName.keys { byName[entry]?.lines.sort() }
        for family in sources.withLock({ $0 }).flatMap({ $0() }) {
            let name = Self.fullName(family.definition.name)
            var entry = byName[name] ?? Entry(kind: family.definition.kind, help: family.definition.help)
            // The lines are not sorted: a histogram's buckets must stay in the order of their bounds.
            entry.lines += family.samples.map { sample in
                "\(name)\(sample.suffix)\(Self.labels(sample.labels)) \(Self.number(sample.value))"
            }
            byName[name] = entry
        }
        return byName.sorted { $0.key < $1.key }.map { name, entry in
            (entry.help.map { "# HELP \(name) \(Self.escaped($0))\n" } ?? "")
                + "# TYPE \(name) \(entry.kind.rawValue)\n" + entry.lines.joined(separator: "\n") + "\n"
        }.joined()
    }

    /// The lines of one metric on the page.
    private struct Entry {
        let kind: Kind
        let help: String?
        var lines: [String] = []
    }

    // MARK: - MetricsFactory

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        handler(label, dimensions: dimensions, kind: .counter)
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        handler(label, dimensions: dimensions, kind: .gauge)
    }

    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        handler(label, dimensions: dimensions, kind: aggregate ? .summary : .gauge)
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        handler(label, dimensions: dimensions, kind: .summary)
    }

    // A series outlives its handler. If a counter is created again, it continues with the old value.
    public func destroyCounter(_ handler: any CounterHandler) {}
    public func destroyMeter(_ handler: any MeterHandler) {}
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    public func destroyTimer(_ handler: any TimerHandler) {}

    // MARK: -

    private func handler(_ label: String, dimensions: [(String, String)], kind: Kind) -> Handler {
        var name = Self.fullName(label)
        if kind == .counter, !name.hasSuffix("_total") { name += "_total" }
        return Handler(page: self, series: Series(name: name, labels: Self.labels(dimensions)), kind: kind)
    }

    private func update(_ series: Series, as kind: Kind, _ body: (inout Sample) -> Void) {
        samples.withLock { samples in
            guard samples[series] != nil || samples.count < Self.seriesLimit else { return }
            body(&samples[series, default: Sample(kind: kind)])
        }
    }

    private static func fullName(_ label: String) -> String {
        let clean = String(label.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
        return clean.hasPrefix("rivulet_") ? clean : "rivulet_\(clean)"
    }

    private static func labels(_ dimensions: [(name: String, value: String)]) -> String {
        guard !dimensions.isEmpty else { return "" }
        let pairs = dimensions.map { "\($0.name)=\"\(escaped(String($0.value.prefix(200)), quotes: true))\"" }
        return "{" + pairs.joined(separator: ",") + "}"
    }

    /// Escapes a label's value or a help text.
    ///
    /// - Parameter quotes: true to escape quotes, too, as a label's value requires.
    private static func escaped(_ text: String, quotes: Bool = false) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"" where quotes: escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.append(character)
            }
        }
        return escaped
    }

    private static func number(_ value: Double) -> String {
        guard value == value.rounded(), abs(value) < 1e15 else { return "\(value)" }
        return "\(Int64(value))"
    }

    /// The handler that swift-metrics calls for one series. It serves every kind of metric.
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
            page.update(series, as: kind) { $0.value += Double(amount) }
        }

        func increment(by amount: Double) {
            page.update(series, as: kind) { $0.value += amount }
        }

        func decrement(by amount: Double) {
            page.update(series, as: kind) { $0.value -= amount }
        }

        func reset() {
            page.update(series, as: kind) { $0.value = 0 }
        }

        func set(_ value: Int64) {
            set(Double(value))
        }

        func set(_ value: Double) {
            page.update(series, as: kind) { $0.value = value }
        }

        func record(_ value: Int64) {
            record(Double(value))
        }

        func record(_ value: Double) {
            page.update(series, as: kind) { sample in
                sample.value = kind == .summary ? sample.value + value : value
                sample.count += 1
            }
        }

        /// Records the duration in seconds, the unit of Prometheus.
        func recordNanoseconds(_ duration: Int64) {
            record(Double(duration) / 1e9)
        }
    }
}
