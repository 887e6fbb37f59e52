import Base
import ContentStore
import LayerIndex

/// The client's state for one container start. It contains:
///
/// - the container's configuration and first reads, and whether the client has sent them to the analyzer
/// - the ranges of layer content that the analyzer waits for
/// - the number of blob bytes, and the number of chunks, that further predictions may still use
///
/// The state outlives the analyzer process. After a restart, the client sends the configuration and the first reads to
/// the new process again.
struct FollowedStart {
    /// The maximum number of content ranges that the analyzer may wait for at the same time.
    private static let maximumWaits = 1 << 14
    /// The maximum number of files whose first read the client reports to the analyzer.
    private static let maximumTouches = 4096
    /// The maximum number of predicted chunks that the client accepts for one container start.
    private static let maximumChunks = 1 << 22
    /// The maximum number of files in the analyzer's answer to ``AnalyzerCommand/order(start:)``.
    private static let maximumOrder = 1 << 16

    let subject: PredictionSubject
    /// The log of the container's reads; `nil` if no container runs.
    let reads: TouchLog?
    let handler: @Sendable (PredictionEvent) -> Void
    /// True for a *brief start*. The client drops a brief start after the analyzer has answered the first command
    /// (``Predictor/begin(_:of:reads:isBrief:handler:)``).
    let isBrief: Bool
    /// The number by which the current analyzer process knows the start; `nil` if the process does not know the start.
    var number: UInt32?

    private var configuration: ContainerStart?
    private var isConfigured = false
    private var touches: [UInt64] = []
    private var touched: Set<UInt64> = []
    private var touchesSent = 0
    private var readsSeen = 0
    private var waits: [UInt32: (layer: Int, chunks: Range<Int>)] = [:]
    private var present: [UInt32] = []
    private var wantsOrder = false
    private var wantsSettled = false
    private var order: [UInt64] = []

    private var bytesLeft: UInt64
    private var chunksLeft = maximumChunks
    private let began: MonotonicTime
    private var lastSeen: MonotonicTime

    init(
        subject: PredictionSubject, reads: TouchLog?, isBrief: Bool, maximumBytes: UInt64, now: MonotonicTime,
        handler: @escaping @Sendable (PredictionEvent) -> Void
    ) {
        self.subject = subject
        self.reads = reads
        self.isBrief = isBrief
        self.handler = handler
        bytesLeft = maximumBytes
        began = now
        lastSeen = now
    }

    // MARK: - Events

    mutating func configure(_ start: ContainerStart) {
        configuration = start.bounded
        isConfigured = false
        wantsSettled = true
    }

    mutating func requestOrder() {
        wantsOrder = true
    }

    mutating func requestSettled() {
        wantsSettled = true
    }

    /// Records the new reads of the container, and the arrival of ranges that the analyzer waits for.
    mutating func observe(_ now: MonotonicTime) {
        let new = reads?.touches(from: readsSeen) ?? []
        if !new.isEmpty { lastSeen = now }
        readsSeen += new.count
        for touch in new where touched.count < Self.maximumTouches && touched.insert(touch.inode).inserted {
            touches.append(touch.inode)
        }
        let come = waits.filter { subject.layers[$1.layer].missing(in: $1.chunks) == nil }.keys.sorted()
        for token in come { waits[token] = nil }
        present += come
    }

    /// Returns true if the container's start is over. Always returns false for a startup pack, because no container
    /// runs while the pack is built.
    ///
    /// - Parameters:
    ///   - quiet: the nanoseconds without a new read after which the start is over.
    ///   - longest: the maximum duration of a start in nanoseconds. After this time, the start is over even if the
    ///     container still reads.
    func isOver(_ now: MonotonicTime, quiet: UInt64, longest: UInt64) -> Bool {
        guard !subject.includesPresent else { return false }
        return now.since(began) >= longest || reads != nil && now.since(lastSeen) >= quiet
    }

    /// Resets the state that depends on the current analyzer process. The client then sends the configuration and all
    /// first reads to the next process.
    mutating func forgetAnalyzer() {
        number = nil
        isConfigured = false
        touchesSent = 0
        waits = [:]
        present = []
        order = []
    }

    // MARK: - Turns

    /// Returns the next command for the analyzer, and records it as sent; `nil` if there is nothing to send.
    ///
    /// - Parameter number: the number by which the analyzer knows the start.
    mutating func nextCommand(_ number: UInt32) -> AnalyzerCommand? {
        if let configuration, !isConfigured {
            isConfigured = true
            return .configure(start: number, configuration)
        }
        if touchesSent < touches.count {
            let next = touches[touchesSent...].prefix(Self.itemsPerTurn)
            touchesSent += next.count
            return .touched(start: number, Array(next))
        }
        if !present.isEmpty {
            let next = present.prefix(Self.itemsPerTurn)
            present.removeFirst(next.count)
            return .present(start: number, Array(next))
        }
        guard wantsOrder else { return nil }
        wantsOrder = false
        order = []
        return .order(start: number)
    }

    /// The maximum number of files or ranges in one command. The limit keeps each command short, so that other starts
    /// do not wait long for their turns.
    private static let itemsPerTurn = 16

    /// True while there is a command to send to the analyzer.
    var hasWork: Bool {
        configuration != nil && !isConfigured || touchesSent < touches.count || !present.isEmpty || wantsOrder
    }

    /// Handles the end of the analyzer's work on `command`.
    ///
    /// If `command` requested the order of the files, passes ``PredictionEvent/order(_:)`` to the handler. If the
    /// caller requested ``PredictionEvent/settled`` and there is no command to send, passes this event, too.
    mutating func endTurn(_ command: AnalyzerCommand) {
        if case .order = command { handler(.order(order)) }
        if wantsSettled, !hasWork {
            wantsSettled = false
            handler(.settled)
        }
    }

    /// Passes ``PredictionEvent/settled`` to the handler under three conditions: the caller requested this event, the
    /// container's process is known, and there is no command to send.
    mutating func settleIfIdle() {
        guard wantsSettled, configuration != nil, !hasWork else { return }
        wantsSettled = false
        handler(.settled)
    }

    // MARK: - Answers

    /// Checks predicted ranges from the analyzer, and passes their chunks to the handler.
    ///
    /// Leaves out chunks that exceed the start's limit of bytes (``PredictorOptions/maximumBytes``) or of chunks
    /// (``maximumChunks``). Also leaves out chunks at the beginning of each range that are already in the local store,
    /// unless ``PredictionSubject/includesPresent`` is true.
    ///
    /// - Throws: ``MalformedPacket`` if a range is empty, or if it lies outside its layer's content.
    mutating func accept(_ runs: [StartPrediction.Run]) throws(MalformedPacket) {
        var accepted: [PredictedRun] = []
        for run in runs {
            let (layer, chunks) = try chunks(run.layer, run.content)
            guard let run = trimmed(layer, to: chunks, of: run.inode) else { continue }
            accepted.append(run)
        }
        if !accepted.isEmpty { handler(.runs(accepted)) }
    }

    /// Records ranges of content that the analyzer waits for.
    ///
    /// - Throws: ``MalformedPacket`` if a range is empty, if it lies outside its layer's content, or if the analyzer
    ///   waits for more than ``maximumWaits`` ranges.
    mutating func accept(_ waits: [StartPrediction.Wait]) throws(MalformedPacket) {
        for wait in waits {
            let (_, chunks) = try chunks(wait.layer, wait.content)
            guard self.waits.count < Self.maximumWaits else { throw MalformedPacket() }
            self.waits[wait.token] = (wait.layer, chunks)
        }
    }

    mutating func accept(order inodes: [UInt64]) throws(MalformedPacket) {
        guard order.count + inodes.count <= Self.maximumOrder else { throw MalformedPacket() }
        order += inodes
    }

    private func chunks(
        _ layer: Int, _ content: ByteRange
    ) throws(MalformedPacket) -> (StoredLayer, Range<Int>) {
        guard subject.layers.indices.contains(layer) else { throw MalformedPacket() }
        let stored = subject.layers[layer]
        guard !content.isEmpty, content.end <= stored.chunks.contentSize else { throw MalformedPacket() }
        return (stored, stored.chunks.chunks(overlapping: content))
    }

    /// Returns the part of `chunks` to fetch; `nil` if nothing is left to fetch.
    ///
    /// The part begins with the first missing chunk, or with the first chunk if ``PredictionSubject/includesPresent``
    /// is true. The part ends with the last chunk, or earlier if the container start reaches its limit of bytes or of
    /// chunks.
    private mutating func trimmed(_ layer: StoredLayer, to chunks: Range<Int>, of inode: UInt64) -> PredictedRun? {
        guard let first = subject.includesPresent ? chunks.first : layer.missing(in: chunks) else { return nil }
        let table = layer.chunks
        var extent: Int?
        var end = first
        // A run may be as long as a layer, so cut it where the byte limit is reached.
        while end < chunks.upperBound, bytesLeft > 0, chunksLeft > 0 {
            let next = table.chunk(end).extent
            if next != extent { bytesLeft -= min(bytesLeft, table.extent(next).blob.count) }
            extent = next
            end += 1
            chunksLeft -= 1
        }
        return end > first ? PredictedRun(layer: layer, chunks: first..<end, inode: inode) : nil
    }
}
