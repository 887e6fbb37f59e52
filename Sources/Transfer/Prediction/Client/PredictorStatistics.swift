/// Figures of a predictor since it was made.
public struct PredictorStatistics: Sendable {
    /// Predictions that were followed.
    public var starts: UInt64 = 0
    /// Predictions that were lost, by reason.
    public var lost: [PredictionLoss: UInt64] = [:]
    /// Analyzers that failed or could not be started.
    public var failures: UInt64 = 0
    /// Predictions that are followed now.
    public var following = 0
    /// The analyzer's process ID while there is one.
    public var process: Int32?
}
