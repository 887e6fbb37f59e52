/// A failure of the analyzer, for the log.
public struct AnalyzerFailure: Sendable {
    public let reason: PredictionLoss
    /// The way in which the process ended, or the reason that there is none.
    public let details: String
    /// True when a prediction was lost; the others are taken up again.
    public let losesStart: Bool
}
