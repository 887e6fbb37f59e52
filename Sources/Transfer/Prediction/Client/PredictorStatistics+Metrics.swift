public import Base

extension PredictorStatistics {
    /// The predictor's metrics.
    public var metrics: [MetricFamily] {
        [
            .counter("predictions_total", starts, help: "Starts of containers that were followed."),
            MetricFamily(
                MetricDefinition(
                    "predictions_lost_total", .counter,
                    help: "Predictions lost to a failure of the analyzer, by reason."),
                by: "reason", values: PredictionLoss.allCases.map { ($0.rawValue, Double(lost[$0] ?? 0)) }),
            .gauge("predictions_running", following, help: "Starts of containers that are followed now."),
            .gauge("analyzer_running", process == nil ? 0 : 1, help: "1 while there is an analyzer, otherwise 0."),
            .counter("analyzer_failures_total", failures, help: "Analyzers that failed or could not be started."),
        ]
    }
}
