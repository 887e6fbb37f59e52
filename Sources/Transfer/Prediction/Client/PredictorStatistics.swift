/// The counters of a predictor since its creation.
public struct PredictorStatistics: Sendable {
    /// The number of container starts that the predictor has followed. Brief starts, which are predicted only from the
    /// configuration, do not count (``Predictor/begin(_:of:reads:isBrief:handler:)``).
    public var starts: UInt64 = 0
    /// The number of lost predictions for each reason.
    public var lost: [PredictionLoss: UInt64] = [:]
    /// The number of analyzers that failed or could not be started.
    public var failures: UInt64 = 0
    /// The number of container starts that the predictor follows now, including brief starts.
    public var following = 0
    /// The analyzer's process ID; `nil` while no analyzer runs.
    public var process: Int32?
}
