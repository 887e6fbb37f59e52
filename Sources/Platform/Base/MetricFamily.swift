/// The definition of a metric: its name, type and help text on the metrics page.
public struct MetricDefinition: Sendable, Hashable {
    /// A Prometheus metric type.
    public enum Kind: String, Sendable {
        case counter
        case gauge
        case summary
        case histogram
    }

    /// The name without the prefix `rivulet_`. The name of a counter ends in `_total`. Units are spelled out, as in
    /// `_seconds`.
    public let name: String
    public let kind: Kind
    /// The help text: one sentence for operators.
    public let help: String

    public init(_ name: String, _ kind: Kind, help: String) {
        self.name = name
        self.kind = kind
        self.help = help
    }
}

/// A metric and its values at one moment.
///
/// The values of labels come from fixed sets. Digests and image names are never labels, because each new value would
/// add a time series.
public struct MetricFamily: Sendable {
    /// One line of the metrics page.
    public struct Sample: Sendable {
        /// The ending of the metric's name in this line: `_bucket`, `_sum` or `_count` for a histogram, otherwise
        /// empty.
        public let suffix: String
        public let labels: [(name: String, value: String)]
        public let value: Double
    }

    public let definition: MetricDefinition
    /// The lines of the metric, in the order in which the metrics page shows them.
    public let samples: [Sample]

    /// Creates a counter with one value.
    public static func counter(_ name: String, _ value: some BinaryInteger, help: String) -> MetricFamily {
        MetricFamily(MetricDefinition(name, .counter, help: help), Double(value))
    }

    /// Creates a counter that shows `nanoseconds` in seconds.
    public static func seconds(_ name: String, nanoseconds: UInt64, help: String) -> MetricFamily {
        MetricFamily(MetricDefinition(name, .counter, help: help), Double(nanoseconds) / 1e9)
    }

    /// Creates a gauge with one value.
    public static func gauge(_ name: String, _ value: Double, help: String) -> MetricFamily {
        MetricFamily(MetricDefinition(name, .gauge, help: help), value)
    }

    /// Creates a gauge with one value.
    public static func gauge(_ name: String, _ value: Int, help: String) -> MetricFamily {
        gauge(name, Double(value), help: help)
    }

    /// Creates a histogram of durations. The metrics page shows its bounds and its sum in seconds.
    ///
    /// - Parameters:
    ///   - bounds: the upper bounds of the buckets in nanoseconds, ascending.
    ///   - counts: the number of values in each bucket alone, not cumulative. One more element at the end counts the
    ///     values above all bounds.
    ///   - nanoseconds: the sum of all values in nanoseconds.
    public static func histogram(
        _ name: String, bounds: [UInt64], counts: [UInt64], nanoseconds: UInt64, help: String
    ) -> MetricFamily {
        var total: UInt64 = 0
        var samples: [Sample] = []
        for (index, count) in counts.enumerated() {
            total += count
            let bound = index < bounds.count ? "\(Double(bounds[index]) / 1e9)" : "+Inf"
            samples.append(Sample(suffix: "_bucket", labels: [("le", bound)], value: Double(total)))
        }
        samples.append(Sample(suffix: "_sum", labels: [], value: Double(nanoseconds) / 1e9))
        samples.append(Sample(suffix: "_count", labels: [], value: Double(total)))
        return MetricFamily(definition: MetricDefinition(name, .histogram, help: help), samples: samples)
    }

    /// Creates a metric with one line for each element of `values`. Each line has one label: its name is the parameter
    /// `label`, and its value is the element's `label`.
    public init(_ definition: MetricDefinition, by label: String, values: [(label: String, value: Double)]) {
        self.init(
            definition: definition,
            samples: values.map { Sample(suffix: "", labels: [(label, $0.label)], value: $0.value) })
    }

    private init(_ definition: MetricDefinition, _ value: Double) {
        self.init(definition: definition, samples: [Sample(suffix: "", labels: [], value: value)])
    }

    private init(definition: MetricDefinition, samples: [Sample]) {
        self.definition = definition
        self.samples = samples
    }
}
