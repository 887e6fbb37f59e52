public import Base

/// The planner's metrics.
extension PlannerStatistics {
    /// All metrics of the planner, with their current values.
    public var metrics: [MetricFamily] {
        [
            .byClass("requests_total", requests, help: "Requests to registries, by the class in which they started."),
            .byClass(
                "requested_bytes_total", bytes, help: "Bytes requested, by the class in which their request started."),
            .counter("requests_failed_total", requestsFailed, help: "Requests that failed."),
            .counter(
                "requests_promoted_total", promoted,
                help: "Requests of other classes that became demand because a reader hit them."),
            .counter(
                "requests_cut_total", cut,
                help: "Requests cut short because a reader needed something far behind."),
            .counter("demands_total", demands, help: "Reads of missing chunks."),
            .counter("demands_joined_total", joined, help: "Demanded extents that were already in flight."),
            .counter("demands_failed_total", failed, help: "Reads of missing chunks that failed."),
            .counter("demands_cancelled_total", cancelled, help: "Reads of missing chunks that were cancelled."),
            .histogram(
                "stall_seconds", bounds: StallHistogram.bounds, counts: stalls.counts, nanoseconds: stalled,
                help: "Time that readers waited for missing chunks."),
            .counter(
                "background_throttles_total", throttled,
                help: "Times that read-ahead and fill were halved because readers were answered late."),
            .counter(
                "hinted_bytes_total", hintedBytes,
                help: "Compressed bytes fetched for landmarks and recorded starts, apart from startup packs."),
            .counter(
                "hinted_bytes_read_total", hintedBytesRead,
                help: "Compressed bytes fetched for landmarks and recorded starts that were read later."),
            .counter(
                "predicted_bytes_total", predictedBytes,
                help: "Compressed bytes fetched for predictions, apart from startup packs."),
            .counter(
                "predicted_bytes_read_total", predictedBytesRead,
                help: "Compressed bytes fetched for predictions that were read later."),
            .counter(
                "speculative_extents_total", speculative, help: "Extents fetched as read-ahead or read-around."),
            .counter(
                "speculative_extents_read_total", speculativeRead,
                help: "Extents fetched as read-ahead or read-around that were read later."),
            .counter("corrupt_extents_total", corrupt, help: "Extents whose bytes did not match their index."),
            .counter(
                "layer_recoveries_total", recoveries,
                help: "Times that a layer's blob was read from its first byte because requests for ranges failed."),
        ]
    }
}

extension MetricFamily {
    /// Creates a counter with one value per fetch class.
    public static func byClass(_ name: String, _ values: PerClass<UInt64>, help: String) -> MetricFamily {
        MetricFamily(
            MetricDefinition(name, .counter, help: help), by: "class",
            values: FetchClass.allCases.map { ("\($0)", Double(values[$0])) })
    }

    /// Creates a gauge with one value per fetch class.
    public static func byClass(_ name: String, _ values: PerClass<Int>, help: String) -> MetricFamily {
        MetricFamily(
            MetricDefinition(name, .gauge, help: help), by: "class",
            values: FetchClass.allCases.map { ("\($0)", Double(values[$0])) })
    }
}
