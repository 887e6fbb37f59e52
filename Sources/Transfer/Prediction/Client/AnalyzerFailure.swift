/// A failure of the analyzer, for the log.
public struct AnalyzerFailure: Sendable {
    public let reason: PredictionLoss
    /// The event that ended the analyzer, with its exit code or signal if there is one.
    public let details: String
    /// True if the failure happened in the turn of a start, which thereby lost its prediction. The next analyzer
    /// continues the other starts.
    public let losesStart: Bool
}
