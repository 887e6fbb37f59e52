import Base
public import ContentStore
import Linux
public import SystemPackage

/// The client of the analyzer. For a starting container without a recorded profile, the analyzer process predicts the
/// next reads (``StartPrediction``).
///
/// A prediction reads the contents of files in untrusted images, so the analyzer is a confined process (``Analyzer``).
/// That process has no privileges, no network, and only the files that the predictor hands to it.
///
/// The predictor starts the analyzer, tells it of container starts, checks all its answers, and restarts it after a
/// failure. The container start that the failed analyzer was working for loses its prediction. The next analyzer
/// continues the other starts.
///
/// The predictor does this work on a thread of its own (``PredictorLoop``). Any thread may call any method. Only
/// ``join()`` waits.
public final class Predictor: Sendable {
    enum Event: Sendable {
        case begin(PredictionKey, PredictionSubject, TouchLog?, isBrief: Bool, Handler)
        case configure(PredictionKey, ContainerStart)
        case order(PredictionKey)
        case proceed(PredictionKey)
        case end(PredictionKey)
    }

    /// The receiver of one prediction's events. It runs on the predictor's thread and must not wait.
    public typealias Handler = @Sendable (PredictionEvent) -> Void

    /// The state that the callers of the predictor share with its thread.
    struct Mail: Sendable {
        var events: [Event] = []
        /// True if a container may have read something, or chunks may have arrived, since the thread last emptied this
        /// mail.
        var isChanged = false
        var isClosed = false
        /// True while the thread follows at least one container start, or while there are events that the thread has
        /// not taken.
        var isFollowing = false
        /// True if a caller has woken the thread, and the thread has not emptied this mail since.
        var isSignalled = false
        var statistics = PredictorStatistics()
    }

    private let mail: Guarded<Mail>
    private let bell: Bell
    private let thread: NamedThread

    /// A socket pair that wakes the thread from poll(2).
    final class Bell: Sendable {
        private let inside: PacketSocket
        private let outside: PacketSocket

        init() throws(Errno) {
            let ends = try PacketSocket.pair()
            inside = PacketSocket(OwnedDescriptor(taking: ends.0))
            outside = PacketSocket(OwnedDescriptor(taking: ends.1))
        }

        var raw: Int32 { inside.raw }

        func ring() {
            // A full socket has woken the thread already.
            try? outside.send([1], waits: false)
        }

        func silence() {
            var byte: [UInt8] = [0]
            while (try? byte.withUnsafeMutableBytes { try inside.receive(into: $0, waits: false) }) != nil {}
        }
    }

    /// Creates a predictor and starts its thread. If ``PredictorOptions/startsEarly`` is true, the thread starts the
    /// analyzer at once. Otherwise, the thread starts the analyzer for the first prediction.
    ///
    /// - Parameter report: called on the thread for each failure of the analyzer.
    /// - Throws: an error if the system cannot provide another thread or file descriptor.
    public init(
        _ options: PredictorOptions = PredictorOptions(),
        report: @escaping @Sendable (AnalyzerFailure) -> Void = { _ in }
    ) throws(Errno) {
        let (mail, bell) = (Guarded(Mail()), try Bell())
        self.mail = mail
        self.bell = bell
        thread = try NamedThread(name: "rv-predict") {
            var loop = PredictorLoop(options, mail: mail, bell: bell, report: report)
            loop.run()
        }
    }

    deinit {
        close()
    }

    /// Begins the prediction of a container start. The prediction reacts to ``configure(_:_:)`` and to the container's
    /// reads. An earlier prediction under the same key ends.
    ///
    /// - Parameters:
    ///   - reads: the log of the container's reads; `nil` if no container runs.
    ///   - isBrief: true for a *brief start*: the prediction uses only the process's configuration and analyzes no
    ///     content. A brief start ends after ``PredictionEvent/settled``.
    ///   - handler: receives the events of the prediction.
    public func begin(
        _ key: PredictionKey, of subject: PredictionSubject, reads: TouchLog? = nil, isBrief: Bool = false,
        handler: @escaping Handler
    ) {
        append(.begin(key, subject, reads, isBrief: isBrief, handler))
    }

    /// Tells the predictor which process the container runs. Does nothing if there is no prediction under `key`.
    public func configure(_ key: PredictionKey, _ start: ContainerStart) {
        append(.configure(key, start))
    }

    /// Requests a list of the predicted files in the order of their expected use. ``PredictionEvent/order(_:)``
    /// delivers the list.
    public func requestOrder(_ key: PredictionKey) {
        append(.order(key))
    }

    /// Continues the prediction with the chunks that have arrived. ``PredictionEvent/settled`` follows.
    public func proceed(_ key: PredictionKey) {
        append(.proceed(key))
    }

    /// Ends the prediction under `key`. Does nothing if there is no such prediction.
    public func end(_ key: PredictionKey) {
        append(.end(key))
    }

    /// Tells the thread that a container has read something, or that chunks have arrived.
    public func wake() {
        let rings = mail.withLock { mail in
            mail.isChanged = true
            guard mail.isFollowing, !mail.isSignalled else { return false }
            mail.isSignalled = true
            return true
        }
        if rings { bell.ring() }
    }

    /// The predictor's counters since its creation.
    public var statistics: PredictorStatistics { mail.withLock { $0.statistics } }

    /// Tells the thread to end the analyzer and all predictions. Returns at once. Handlers receive no event about the
    /// end.
    public func close() {
        mail.withLock { $0.isClosed = true }
        bell.ring()
    }

    /// Waits until the analyzer and the thread have ended. Call ``close()`` first.
    public func join() {
        thread.join()
    }

    private func append(_ event: Event) {
        let rings = mail.withLock { mail in
            guard !mail.isClosed else { return false }
            mail.events.append(event)
            mail.isFollowing = true
            guard !mail.isSignalled else { return false }
            mail.isSignalled = true
            return true
        }
        if rings { bell.ring() }
    }
}
