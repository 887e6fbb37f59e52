/// Tunable behavior of a ``Predictor``.
public struct PredictorOptions: Sendable {
    /// The program that runs in the analyzer's role; `nil` for no predictions. By default, it is this program, if its
    /// `main` calls ``Analyzer/runIfRequested(adding:)``.
    public var program: String? = Analyzer.isAvailable ? "/proc/self/exe" : nil
    /// True to start the analyzer before the first prediction needs it.
    public var startsEarly = false
    /// The most processor time for one turn of a start.
    public var turnProcessorTime: Duration = .seconds(2)
    /// The most time for one turn of a start. On a busy machine, it includes waiting for a processor.
    public var turnTime: Duration = .seconds(20)
    /// The most time from the start of a process to its first packet.
    public var startTime: Duration = .seconds(20)
    /// The delay before a process is restarted. It doubles with each failure.
    public var firstDelay: Duration = .milliseconds(100)
    /// The longest delay before a restart.
    public var longestDelay: Duration = .seconds(60)
    /// The lifetime of a process after which its failure starts the delays over.
    public var soundAfter: Duration = .seconds(300)
    /// The time without new reads after which a container's start is over.
    public var quiet: Duration = .seconds(10)
    /// The time after which a container's start is over in any case.
    public var longest: Duration = .seconds(120)
    /// The most containers that the predictor follows at the same time. The predictor predicts nothing for others.
    public var maximumStarts = 32
    /// The most bytes of blobs that are fetched for one start.
    public var maximumBytes: UInt64 = 128 << 20

    public init() {}
}
