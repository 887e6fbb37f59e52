import Base
public import ContentStore
import Linux
public import SystemPackage

/// Predicts what containers without a profile read next, in a process of its own: see ``StartPrediction``.
///
/// Heuristics over the contents of files in images run in an analyzer, which has no privileges, no network and no files
/// but those that it is handed (``Analyzer``). This side starts it, tells it of starts, checks everything that it
/// answers, and starts it again when it has failed. A failure costs the start at hand its prediction; the others are
/// taken up again.
///
/// One thread does all of it (``PredictorLoop``). Every method may be called from any thread and does not wait.
public final class Predictor: Sendable {
    enum Event: Sendable {
        case begin(PredictionKey, PredictionSubject, TouchLog?, isBrief: Bool, Handler)
        case configure(PredictionKey, ContainerStart)
        case order(PredictionKey)
        case proceed(PredictionKey)
        case end(PredictionKey)
    }

    /// Takes the events of one prediction, on the predictor's thread. It must not wait.
    public typealias Handler = @Sendable (PredictionEvent) -> Void

    /// The state that callers and the thread share.
    struct Mail: Sendable {
        var events: [Event] = []
        /// Something may have been read or may have come since the thread looked last.
        var isChanged = false
        var isClosed = false
        /// True while the thread follows anything.
        var isFollowing = false
        /// True when the thread has been woken and has not looked yet.
        var isSignalled = false
        var statistics = PredictorStatistics()
    }

    private let mail: Guarded<Mail>
    private let bell: Bell
    private let thread: NamedThread

    /// Wakes the thread out of poll(2).
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

    /// Starts the thread.
    ///
    /// - Parameter report: called on the thread for each failure of the analyzer.
    /// - Throws: when the system has no thread or no descriptor left.
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

    /// Follows a start. One that is followed under the same key ends.
    ///
    /// - Parameters:
    ///   - reads: the container's reads, if there is a container.
    ///   - isBrief: only the files that the configuration names directly; the start ends with them.
    public func begin(
        _ key: PredictionKey, of subject: PredictionSubject, reads: TouchLog? = nil, isBrief: Bool = false,
        handler: @escaping Handler
    ) {
        append(.begin(key, subject, reads, isBrief: isBrief, handler))
    }

    /// Says what the container runs. Without effect for a start that is not followed.
    public func configure(_ key: PredictionKey, _ start: ContainerStart) {
        append(.configure(key, start))
    }

    /// Asks for the order of the files: ``PredictionEvent/order(_:)``.
    public func requestOrder(_ key: PredictionKey) {
        append(.order(key))
    }

    /// Goes on with what has come: ``PredictionEvent/settled`` follows.
    public func proceed(_ key: PredictionKey) {
        append(.proceed(key))
    }

    /// Forgets a start.
    public func end(_ key: PredictionKey) {
        append(.end(key))
    }

    /// Says that something has been read, or that chunks have come.
    public func wake() {
        let rings = mail.withLock { mail in
            mail.isChanged = true
            guard mail.isFollowing, !mail.isSignalled else { return false }
            mail.isSignalled = true
            return true
        }
        if rings { bell.ring() }
    }

    /// Figures since the start.
    public var statistics: PredictorStatistics { mail.withLock { $0.statistics } }

    /// Ends the analyzer and every prediction, without an event.
    public func close() {
        mail.withLock { $0.isClosed = true }
        bell.ring()
    }

    /// Waits until the analyzer and the thread are gone, after ``close()``.
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
