/// Tunable behavior of a ``Predictor``.
public struct PredictorOptions: Sendable {
    /// The program that takes the analyzer's role. By default this one, if its `main` calls
    /// ``Analyzer/runIfRequested(adding:)``.
    public var program: String? = Analyzer.isAvailable ? "/proc/self/exe" : nil
    /// Start the analyzer before the first prediction needs it.
    public var startsEarly = false
    /// The most processor time for one turn of a start.
    public var turnProcessorTime: Duration = .seconds(2)
    /// The longest turn of a start: on a busy machine it may wait for a processor.
    public var turnTime: Duration = .seconds(20)
    /// The longest time from the start of a process to its first word.
    public var startTime: Duration = .seconds(20)
    /// The delay before a process is started again; doubles with each failure.
    public var firstDelay: Duration = .milliseconds(100)
    public var longestDelay: Duration = .seconds(60)
    /// A process that has lived this long starts the delays over.
    public var soundAfter: Duration = .seconds(300)
    /// The start of a container is over when it has read nothing new for this long.
    public var quiet: Duration = .seconds(10)
    /// The start of a container is over after this time in any case.
    public var longest: Duration = .seconds(120)
    /// Containers that are followed at the same time; of more, only what they read is fetched.
    public var maximumStarts = 32
    /// The most that is fetched for one start, in bytes of the blobs.
    public var maximumBytes: UInt64 = 128 << 20

    public init() {}
}
