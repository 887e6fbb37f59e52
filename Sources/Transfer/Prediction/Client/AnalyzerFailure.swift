/// A failure of the analyzer process, for the log.
public struct AnalyzerFailure: Sendable {
    public let reason: PredictionLoss
    /// A description of the failure for the log. It may include the exit code or the signal of the process.
    public let details: String
    /// True if the analyzer was working for a container start. That start loses its prediction.
    public let losesStart: Bool
}
