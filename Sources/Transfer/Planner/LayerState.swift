import Base

/// The planner's state of one layer, including one byte of flags per extent and the access patterns of the layer's
/// readers.
struct LayerState: Sendable {
    /// The flags of an extent. There is no flag for presence, because the planner asks the store for it.
    struct Marks: OptionSet, Sendable {
        let rawValue: UInt8
        /// In a request or in decoding, so not requested again.
        static let inFlight = Marks(rawValue: 1)
        /// Fetched, but with bytes that contradict the layer index. Only a demand requests the extent again.
        static let avoid = Marks(rawValue: 2)
        /// Fetched as read-ahead or as a neighbor (``ReadAround``), and not read yet.
        static let speculative = Marks(rawValue: 4)
        /// Demanded by a reader and not yet in a request.
        static let demanded = Marks(rawValue: 8)
        /// In the read-ahead queue.
        static let planned = Marks(rawValue: 16)
        /// Fetched as a neighbor of a demand (``ReadAround``), not as read-ahead.
        static let neighbor = Marks(rawValue: 32)
        /// Fetched for a landmark or a recorded start and not read yet.
        static let hinted = Marks(rawValue: 64)
        /// Fetched for a prediction and not read yet.
        static let predicted = Marks(rawValue: 128)
    }

    let map: any ExtentMap
    let host: String
    /// The time of the last failed demand. `nil` if no demand has failed since an extent of the layer last arrived. If
    /// this time is recent, the registry is probably unreachable.
    var lastFailure: MonotonicTime?
    var marks: [Marks]
    var streams = SequentialStreams()
    /// The layer's read-around; `nil` before the first request for a demand.
    var readAround: ReadAround?
    /// The time until which a hint covers the layer's reads. Until then, the planner does not speculate in the layer:
    /// it adds no read-ahead, read-around or nearby fill.
    var hintedUntil = MonotonicTime(nanoseconds: 0)
    /// The number of bytes in this layer's extents that the latest hint named. Hints that are predictions do not change
    /// this number. Fill compares it with the number of missing bytes; see ``PlannerConfiguration/eagerSeconds``.
    var hintedBytes: UInt64 = 0
    var statistics = LayerStatistics()
    var accuracy = PredictionAccuracy()
    var knownStart = KnownStart()
    var recovery = RecoveryState()
    /// The number of extents marked ``Marks/inFlight``.
    private(set) var inFlight = 0

    init(_ map: any ExtentMap, host: String) {
        self.map = map
        self.host = host
        marks = Array(repeating: [], count: map.extentCount)
    }

    /// Returns true if the extent is *open*: missing, not in flight and not marked ``Marks/avoid``. Background classes
    /// (all classes but demand) may request only open extents.
    func isOpen(_ extent: Int) -> Bool {
        marks[extent].isDisjoint(with: [.inFlight, .avoid]) && !map.isPresent(extent)
    }

    /// Marks the extents of `run` as in flight. Returns the extents that were marked ``Marks/demanded``, and removes
    /// that mark.
    mutating func begin(_ run: ExtentRun) -> [Int] {
        var awaited: [Int] = []
        for segment in run.segments {
            for extent in segment {
                if marks[extent].contains(.demanded) { awaited.append(extent) }
                marks[extent].remove(.demanded)
                marks[extent].insert(.inFlight)
            }
            inFlight += segment.count
        }
        return awaited
    }

    /// Marks the extent as no longer in flight.
    ///
    /// - Parameter arrived: true if all bytes of the extent arrived. If false, this function also removes the marks
    ///   that tell why the extent was requested, such as ``Marks/speculative``.
    mutating func finish(_ extent: Int, arrived: Bool) {
        guard marks[extent].contains(.inFlight) else { return }
        inFlight -= 1
        marks[extent].remove(.inFlight)
        if !arrived { marks[extent].subtract([.speculative, .neighbor, .hinted, .predicted]) }
    }

    mutating func mark(_ extents: some Sequence<Int>, _ marks: Marks) {
        for extent in extents { self.marks[extent].insert(marks) }
    }

    mutating func unmark(_ extents: some Sequence<Int>, _ marks: Marks) {
        for extent in extents { self.marks[extent].subtract(marks) }
    }

    /// Returns the part of `extents` that lies in the layer.
    func clamped(_ extents: Range<Int>) -> Range<Int> {
        extents.clamped(to: 0..<marks.count)
    }
}
