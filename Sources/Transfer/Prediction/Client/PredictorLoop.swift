import Base
import ContentStore
import Glibc
import LayerIndex
import Linux
import SystemPackage

/// The loop that a ``Predictor`` runs on its thread. The container starts take turns: in a turn, the analyzer works on
/// one command for one start. So the loop knows to which start a crash or a hang belongs.
struct PredictorLoop: ~Copyable {
    /// The maximum number of brief starts that the thread follows at the same time. A brief start is predicted only
    /// from the configuration (``Predictor/begin(_:of:reads:isBrief:handler:)``).
    private static let maximumBrief = 256
    /// The maximum number of packets that the analyzer may send in answer to one command.
    private static let maximumReplies = 256

    /// The command that the analyzer is working on. `began` is the clock time when the work began, and `processorTime`
    /// the analyzer's processor time at that moment, in nanoseconds.
    private struct Turn {
        let key: PredictionKey
        let command: AnalyzerCommand
        let began: MonotonicTime
        let processorTime: UInt64
        var replies = 0
    }

    private enum Phase {
        /// The phase before the process reports that it is ready. The value is the time when the process started.
        case starting(MonotonicTime)
        case idle
        case working(Turn)
    }

    private let options: PredictorOptions
    private let mail: Guarded<Predictor.Mail>
    private let bell: Predictor.Bell
    private let report: @Sendable (AnalyzerFailure) -> Void
    private var throttle: RestartThrottle
    private var link: AnalyzerLink?
    private var phase = Phase.idle
    private var starts: [PredictionKey: FollowedStart] = [:]
    /// The keys of the container starts in the order of their turns.
    private var rotation: [PredictionKey] = []
    private var lastNumber: UInt32 = 0
    private var buffer = [UInt8](repeating: 0, count: AnalyzerPacket.maximumSize)

    init(
        _ options: PredictorOptions, mail: Guarded<Predictor.Mail>, bell: Predictor.Bell,
        report: @escaping @Sendable (AnalyzerFailure) -> Void
    ) {
        self.options = options
        self.mail = mail
        self.bell = bell
        self.report = report
        throttle = RestartThrottle(
            first: options.firstDelay, longest: options.longestDelay, soundAfter: options.soundAfter)
    }

    mutating func run() {
        while true {
            bell.silence()
            let (events, isChanged, isClosed) = mail.withLock { mail in
                defer { (mail.events, mail.isChanged, mail.isSignalled) = ([], false, false) }
                return (mail.events, mail.isChanged, mail.isClosed)
            }
            if isClosed { break }
            let now = MonotonicTime.now()
            for event in events { apply(event, now) }
            if isChanged { for key in starts.keys { starts[key]?.observe(now) } }
            expire(now)
            startAnalyzer(now)
            startTurn()
            publish()
            wait()
            receive()
            watch()
        }
        _ = link.take()?.end()
        starts = [:]
        publish()
    }

    // MARK: - Events

    private mutating func apply(_ event: Predictor.Event, _ now: MonotonicTime) {
        switch event {
        case .begin(let key, let subject, let reads, let isBrief, let handler):
            drop(key)
            let others = starts.values.count { $0.isBrief == isBrief }
            let most = isBrief ? Self.maximumBrief : options.maximumStarts
            guard options.program != nil, others < most else { return lose(.unavailable, handler) }
            starts[key] = FollowedStart(
                subject: subject, reads: reads, isBrief: isBrief, maximumBytes: options.maximumBytes, now: now,
                handler: handler)
            rotation.append(key)
            mail.withLock { $0.statistics.starts += isBrief ? 0 : 1 }
            starts[key]?.observe(now)
        case .configure(let key, let start): starts[key]?.configure(start)
        case .order(let key): starts[key]?.requestOrder()
        case .proceed(let key):
            starts[key]?.requestSettled()
            starts[key]?.observe(now)
            if !isWorking(at: key) { starts[key]?.settleIfIdle() }
        case .end(let key): drop(key)
        }
    }

    private func isWorking(at key: PredictionKey) -> Bool {
        if case .working(let turn) = phase { turn.key == key } else { false }
    }

    private mutating func expire(_ now: MonotonicTime) {
        let (quiet, longest) = (options.quiet.wholeNanoseconds, options.longest.wholeNanoseconds)
        for (key, start) in starts where start.isOver(now, quiet: quiet, longest: longest) { drop(key) }
    }

    /// Removes a container start from this loop, and tells the analyzer to remove it.
    private mutating func drop(_ key: PredictionKey) {
        guard let start = starts.removeValue(forKey: key) else { return }
        rotation.removeAll { $0 == key }
        start.reads?.onTouch(nil)
        guard let number = start.number, link != nil else { return }
        do throws(Errno) {
            try link?.send(.end(start: number), timeout: 0)
        } catch {
            // If the analyzer reads nothing, the next command times out, and the loop ends the analyzer. The start is
            // then gone there, too.
        }
    }

    private func lose(_ reason: PredictionLoss, _ handler: Predictor.Handler) {
        mail.withLock { $0.statistics.lost[reason, default: 0] += 1 }
        handler(.lost(reason))
    }

    private mutating func publish() {
        let (count, process, failures) = (starts.count, link?.pid, throttle.failures)
        mail.withLock { mail in
            mail.statistics.following = count
            mail.statistics.process = process
            mail.statistics.failures = failures
            mail.isFollowing = count > 0 || !mail.events.isEmpty
        }
    }

    // MARK: - The process

    private mutating func startAnalyzer(_ now: MonotonicTime) {
        guard link == nil, options.startsEarly || !starts.isEmpty, let program = options.program,
            now >= throttle.allowedAt
        else { return }
        throttle.started(at: now)
        do throws(Errno) {
            link = try AnalyzerLink(program: program, group: options.group)
            phase = .starting(now)
        } catch {
            fail(.unavailable, "cannot start \(program): \(error)")
        }
    }

    /// Ends the analyzer after a failure. The container start that the analyzer was working for loses its prediction.
    /// The other starts wait for the next analyzer.
    ///
    /// If the analyzer could not be started or never became ready, the predictions for all startup packs and for all
    /// brief starts are lost too, and only the remaining starts wait.
    ///
    /// - Parameters:
    ///   - reason: the kind of failure; `nil` to derive it from the exit of the process.
    ///   - what: a description of the failure for the log.
    private mutating func fail(_ reason: PredictionLoss?, _ what: String) {
        let now = MonotonicTime.now()
        var details = what
        var reason = reason ?? .crash
        if let end = link.take()?.end() {
            switch end {
            case .exited(let code): details += ", exit code \(code)"
            case .killed(let signal):
                if reason == .crash, signal == SIGKILL || signal == SIGXCPU { reason = .limit }
                if reason == .crash { details += ", signal \(signal)" }
            }
        }
        var (lost, isUnusable) = (nil as PredictionKey?, true)
        switch phase {
        case .working(let turn): (lost, isUnusable) = (turn.key, false)
        case .idle: isUnusable = reason == .unavailable
        case .starting: break
        }
        phase = .idle
        throttle.failed(at: now)
        for key in starts.keys { starts[key]?.forgetAnalyzer() }
        report(AnalyzerFailure(reason: reason, details: details, losesStart: lost.map { starts[$0] != nil } ?? false))
        if let lost, let start = starts[lost] {
            drop(lost)
            lose(reason, start.handler)
        } else if isUnusable {
            // Startup packs and brief starts do not wait for an analyzer that may never start. Other starts do, since a
            // later analyzer can still help their containers.
            for (key, start) in starts where start.subject.includesPresent || start.isBrief {
                drop(key)
                lose(.unavailable, start.handler)
            }
        }
    }

    // MARK: - Turns

    private mutating func startTurn() {
        guard link != nil, case .idle = phase else { return }
        for _ in 0..<rotation.count {
            // Move the first start to the end of the rotation, even if it has nothing to tell.
            guard let key = rotation.first else { return }
            rotation.removeFirst()
            rotation.append(key)
            guard starts[key]?.hasWork == true, let number = open(key) else { continue }
            guard let command = starts[key]?.nextCommand(number) else { continue }
            let turn = Turn(
                key: key, command: command, began: .now(), processorTime: link?.processorTime ?? 0)
            phase = .working(turn)
            send(command)
            return
        }
    }

    /// Sends a container start's tree and layers to the analyzer, unless the analyzer knows the start already. If this
    /// fails, the start loses its prediction.
    ///
    /// - Returns: the number by which the analyzer knows the start; `nil` on failure.
    private mutating func open(_ key: PredictionKey) -> UInt32? {
        guard let start = starts[key] else { return nil }
        if let number = start.number { return number }
        lastNumber &+= 1
        let number = lastNumber
        do {
            let tree = try start.subject.openTree()
            let begin = AnalyzerCommand.begin(
                start: number, layers: start.subject.layers.count, treeSize: try Sys.fstat(tree.raw).size,
                speculates: !start.subject.includesPresent)
            try link?.send(begin, with: tree.raw, timeout: options.turnTime.wholeNanoseconds)
            for layer in start.subject.layers {
                let content = try layer.openContent()
                try link?.send(
                    .layer(start: number, extentsSpanFiles: layer.chunks.windows != nil), with: content.raw,
                    timeout: options.turnTime.wholeNanoseconds)
            }
        } catch {
            drop(key)
            lose(.unavailable, start.handler)
            return nil
        }
        starts[key]?.number = number
        return number
    }

    private mutating func send(_ command: AnalyzerCommand) {
        do throws(Errno) {
            try link?.send(command, timeout: options.turnTime.wholeNanoseconds)
        } catch {
            fail(nil, "cannot send: \(error)")
        }
    }

    private mutating func receive() {
        while link != nil {
            do {
                guard let count = try link?.receive(into: &buffer) else { return }
                guard count > 0 else { return fail(nil, "ended") }
                try take(try AnalyzerReply(decoding: buffer[..<count]))
            } catch {
                return fail(error is MalformedPacket ? .violation : nil, "cannot receive: \(error)")
            }
            // Stop at the end of the turn, so that the loop handles other events before the next turn.
            if case .idle = phase { return }
        }
    }

    private mutating func take(_ reply: AnalyzerReply) throws {
        switch (phase, reply) {
        case (.starting, .ready):
            phase = .idle
            return
        case (.starting, .unconfined(let code)):
            return fail(.unavailable, "cannot be confined: \(Errno(rawValue: code))")
        case (.working(var turn), _):
            turn.replies += 1
            guard turn.replies <= Self.maximumReplies else { throw MalformedPacket() }
            phase = .working(turn)
            try take(reply, in: turn)
        default: throw MalformedPacket()
        }
    }

    private mutating func take(_ reply: AnalyzerReply, in turn: Turn) throws(MalformedPacket) {
        // Answers about a start that has ended in the meantime have no effect.
        let number = turn.command.start
        switch reply {
        case .runs(number, let runs): try starts[turn.key]?.accept(runs)
        case .waits(number, let waits): try starts[turn.key]?.accept(waits)
        case .order(number, let inodes): try starts[turn.key]?.accept(order: inodes)
        case .done(number):
            phase = .idle
            guard let start = starts[turn.key], start.number == number else { return }
            if start.isBrief {
                start.handler(.settled)
                return drop(turn.key)
            }
            starts[turn.key]?.observe(.now())
            starts[turn.key]?.endTurn(turn.command)
        default: throw MalformedPacket()
        }
    }

    // MARK: - Time

    /// Ends the analyzer if it has not become ready in time, or if it has exceeded a time limit of the current command.
    private mutating func watch() {
        guard link != nil else { return }
        let now = MonotonicTime.now()
        switch phase {
        case .idle: break
        case .starting(let began):
            if now.since(began) >= options.startTime.wholeNanoseconds { fail(.unavailable, "did not answer") }
        case .working(let turn):
            let taken = link?.processorTime ?? 0
            let processorTime = taken - min(taken, turn.processorTime)
            if processorTime >= options.turnProcessorTime.wholeNanoseconds
                || now.since(turn.began) >= options.turnTime.wholeNanoseconds
            {
                fail(.hang, "took \(processorTime / 1_000_000) ms of processor time")
            }
        }
    }

    /// Waits until a packet from the analyzer arrives, a caller rings ``bell``, or the next check is due.
    private mutating func wait() {
        let socket = link?.raw
        let timeout: Int32
        if case .idle = phase {
            timeout = idleTimeout(isRunning: socket != nil)
        } else {
            // Wake up regularly, so that ``watch()`` can check the analyzer.
            timeout = 50
        }
        var ends = [pollfd(fd: bell.raw, events: Int16(POLLIN), revents: 0)]
        if let socket { ends.append(pollfd(fd: socket, events: Int16(POLLIN), revents: 0)) }
        _ = poll(&ends, nfds_t(ends.count), timeout)
    }

    /// Returns the time in milliseconds that the thread may sleep between turns; -1 for no limit.
    private func idleTimeout(isRunning: Bool) -> Int32 {
        if isRunning, starts.values.contains(where: { $0.hasWork }) { return 0 }
        if !isRunning, options.program != nil, options.startsEarly || !starts.isEmpty {
            return Int32(clamping: min(throttle.allowedAt.since(.now()) / 1_000_000 + 1, 1000))
        }
        // Check once a second for starts that are over.
        return starts.isEmpty ? -1 : 1000
    }
}

extension AnalyzerCommand {
    /// The number of the container start to which the command refers.
    var start: UInt32 {
        switch self {
        case .begin(let start, _, _, _), .layer(let start, _), .configure(let start, _), .touched(let start, _),
            .present(let start, _), .order(let start), .end(let start):
            start
        }
    }
}
