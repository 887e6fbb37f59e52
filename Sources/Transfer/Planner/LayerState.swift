import Base

/// The planner's state of one layer: a byte per extent, and its readers' habits.
struct LayerState: Sendable {
    /// An extent's state apart from its presence.
    struct Marks: OptionSet, Sendable {
        let rawValue: UInt8
        /// In a request or in decoding: not requested again.
        static let inFlight = Marks(rawValue: 1)
        /// Its bytes were wrong: only a demand tries again.
        static let avoid = Marks(rawValue: 2)
        /// Fetched by location and not read yet.
        static let speculative = Marks(rawValue: 4)
        /// A demand waits for it, and no request has it.
        static let demanded = Marks(rawValue: 8)
        /// In the read-ahead queue.
        static let planned = Marks(rawValue: 16)
        /// Fetched as a neighbor, not as read-ahead.
        static let neighbor = Marks(rawValue: 32)
        /// Fetched for a landmark or a recorded start and not read yet.
        static let hinted = Marks(rawValue: 64)
        /// Fetched for a prediction and not read yet.
        static let predicted = Marks(rawValue: 128)
    }

    let map: any ExtentMap
    let host: String
    /// The time of the last failed demand, unless something has arrived since: the registry is likely unreachable.
    var lastFailure: MonotonicTime?
    var marks: [Marks]
    var streams = SequentialStreams()
    /// `nil` before the first small demand.
    var readAround: ReadAround?
    /// The time until which a hint tells what is read, so that nothing is fetched by location.
    var hintedUntil = MonotonicTime(nanoseconds: 0)
    /// The bytes of the extents that the last hint named.
    var hintedBytes: UInt64 = 0
    var statistics = LayerStatistics()
    var accuracy = PredictionAccuracy()
    var knownStart = KnownStart()
    /// The number of extents marked ``Marks/inFlight``.
    private(set) var inFlight = 0

    init(_ map: any ExtentMap, host: String) {
        self.map = map
        self.host = host
        marks = Array(repeating: [], count: map.extentCount)
    }

    /// Returns whether a background class may request the extent.
    func isOpen(_ extent: Int) -> Bool {
        marks[extent].isDisjoint(with: [.inFlight, .avoid]) && !map.isPresent(extent)
    }

    /// Marks the extents of `run` as in flight, and returns those that a demand waits for.
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

    /// Marks the extent as no longer in flight. One that did not arrive does not count as speculation either.
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
