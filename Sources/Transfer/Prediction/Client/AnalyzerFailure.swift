/// A failure of the analyzer, for the log.
public struct AnalyzerFailure: Sendable {
    public let reason: PredictionLoss
    /// The exit of the process, or the reason why it could not run.
    public let details: String
    /// True if a start lost its prediction. The next analyzer continues the other starts.
    public let losesStart: Bool
}
