public import Linux

/// Tunable behavior of a ``Predictor``.
public struct PredictorOptions: Sendable {
    /// The program to run as the analyzer; `nil` to predict nothing. The default is the running program, provided that
    /// its `main` calls ``Analyzer/runIfRequested(adding:)``.
    public var program: String? = Analyzer.isAvailable ? "/proc/self/exe" : nil
    /// The control group of the analyzer; `nil` for the control group of this process.
    public var group: ControlGroup?
    /// True to start the analyzer before the first prediction needs it.
    public var startsEarly = false
    /// The limit of the analyzer's processor time for one command.
    public var turnProcessorTime: Duration = .seconds(2)
    /// The time limit from a command to the end of the analyzer's answer. It includes the time in which the analyzer
    /// waits for a processor.
    public var turnTime: Duration = .seconds(20)
    /// The time limit from the start of an analyzer process to its first packet.
    public var startTime: Duration = .seconds(20)
    /// The delay before the first restart of the analyzer. Each further failure doubles the delay, up to
    /// ``longestDelay``.
    public var firstDelay: Duration = .milliseconds(100)
    /// The longest delay before a restart.
    public var longestDelay: Duration = .seconds(60)
    /// The lifetime after which an analyzer counts as sound. After the failure of a sound analyzer, the delays begin
    /// again with ``firstDelay``.
    public var soundAfter: Duration = .seconds(300)
    /// The time without new reads after which a container's start is over.
    public var quiet: Duration = .seconds(10)
    /// The maximum duration of a container's start. After this time, the start is over even if the container still
    /// reads.
    public var longest: Duration = .seconds(120)
    /// The maximum number of container starts that the predictor follows at the same time. Any further start loses its
    /// prediction at once. Brief starts (``Predictor/begin(_:of:reads:isBrief:handler:)``) have a limit of their own.
    public var maximumStarts = 32
    /// The maximum number of blob bytes (compressed) that one prediction may cause the node to fetch.
    public var maximumBytes: UInt64 = 128 << 20

    public init() {}
}
