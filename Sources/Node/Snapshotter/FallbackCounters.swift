public import Base
import Images
import Metrics

/// The snapshotter's metrics, which it counts with the package swift-metrics.
public enum SnapshotterMetrics {
    /// The number of layers that containerd downloads because they cannot be streamed.
    static let fallback = MetricDefinition(
        "fallback_total", .counter, help: "Layers that containerd downloads because they cannot be streamed, by reason."
    )

    /// The definitions of all the snapshotter's metrics.
    public static let definitions = [fallback]
}

/// The counters of ``SnapshotterMetrics/fallback``, one per reason.
struct FallbackCounters: Sendable {
    private let counters: [FallbackReason.Code: Metrics.Counter]

    init() {
        counters = Dictionary(
            uniqueKeysWithValues: FallbackReason.Code.allCases.map { code in
                (
                    code,
                    Metrics.Counter(label: SnapshotterMetrics.fallback.name, dimensions: [("reason", code.rawValue)])
                )
            })
    }

    func count(_ code: FallbackReason.Code) {
        counters[code]?.increment()
    }
}
