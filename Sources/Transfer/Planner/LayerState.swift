import Base

/// What the planner keeps of one layer: a byte an extent, and who reads it how.
struct LayerState: Sendable {
    /// What is known of an extent, beside whether it is present.
    struct Marks: OptionSet, Sendable {
        let rawValue: UInt8
        /// In a request, or on its way through decoding: never asked for again.
        static let inFlight = Marks(rawValue: 1)
        /// Its bytes were wrong: only a demand tries it again.
        static let avoid = Marks(rawValue: 2)
        /// Fetched because of what lies beside it, and not read so far.
        static let speculative = Marks(rawValue: 4)
        /// A demand waits for it, and it is in no request.
        static let wanted = Marks(rawValue: 8)
        /// In the readahead queue.
        static let planned = Marks(rawValue: 16)
        /// Came as a neighbour (and not as readahead).
        static let neighbour = Marks(rawValue: 32)
        /// Fetched for a profile, and not read so far.
        static let profiled = Marks(rawValue: 64)
        /// Fetched because it was predicted, and not read so far.
        static let predicted = Marks(rawValue: 128)
    }

    let map: any ExtentMap
    let host: String
    /// When a demand last failed, if nothing has arrived since: the layer's registry is likely to be away.
    var lastFailure: MonotonicTime?
    var marks: [Marks]
    var streams = SequentialStreams()
    /// `nil` as long as no small demand was requested.
    var neighbourhood: ReadAround?
    /// Until then a profile says what will be read, and nothing is guessed from what lies beside it.
    var profiledUntil = MonotonicTime(nanoseconds: 0)
    /// Bytes of the extents that the last profile named.
    var profileBytes: UInt64 = 0
    var statistics = LayerStatistics()
    /// How well predictions have foreseen what is read.
    var foresight = Foresight()
    /// Extents marked ``Marks/inFlight``.
    private(set) var inFlight = 0

    init(_ map: any ExtentMap, host: String) {
        self.map = map
        self.host = host
        marks = Array(repeating: [], count: map.extentCount)
    }

    /// Whether a background class may put the extent in a request.
    func isOpen(_ extent: Int) -> Bool {
        marks[extent].isDisjoint(with: [.inFlight, .avoid]) && !map.isPresent(extent)
    }

    /// The extents of `run` are in flight now; gives those that a demand waits for.
    mutating func begin(_ run: Run) -> [Int] {
        var awaited: [Int] = []
        for segment in run.segments {
            for extent in segment {
                if marks[extent].contains(.wanted) { awaited.append(extent) }
                marks[extent].remove(.wanted)
                marks[extent].insert(.inFlight)
            }
            inFlight += segment.count
        }
        return awaited
    }

    /// The extent is no longer in flight. One that will not come has not been guessed either.
    mutating func finish(_ extent: Int, arrived: Bool) {
        guard marks[extent].contains(.inFlight) else { return }
        inFlight -= 1
        marks[extent].remove(.inFlight)
        if !arrived { marks[extent].subtract([.speculative, .neighbour, .profiled, .predicted]) }
    }

    mutating func mark(_ extents: some Sequence<Int>, _ marks: Marks) {
        for extent in extents { self.marks[extent].insert(marks) }
    }

    mutating func unmark(_ extents: some Sequence<Int>, _ marks: Marks) {
        for extent in extents { self.marks[extent].subtract(marks) }
    }

    /// `extents` without what lies outside of the layer.
    func clamped(_ extents: Range<Int>) -> Range<Int> {
        extents.clamped(to: 0..<marks.count)
    }
}

/// The extents of one request in the order in which their bytes come, with the gaps between them left out.
struct Run: Sendable {
    private(set) var segments: [Range<Int>] = []
    /// What is asked for: small gaps included, larger ones left out.
    private(set) var ranges: [ByteRange] = []
    /// Bytes in ``ranges``.
    private(set) var byteCount: UInt64 = 0

    var isEmpty: Bool { segments.isEmpty }

    /// From the start of the first range to the end of the last one.
    var blob: ByteRange { ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0) }

    /// Adds `extent`, which lies at `range`: to the last range when it follows that within `gap` bytes.
    mutating func append(_ extent: Int, _ range: ByteRange, gap: UInt64) {
        if let last = segments.last, last.upperBound == extent {
            segments[segments.count - 1] = last.lowerBound..<extent + 1
        } else {
            segments.append(extent..<extent + 1)
        }
        if let last = ranges.last, !needsNewRange(for: range, gap: gap) {
            ranges[ranges.count - 1] = ByteRange(offset: last.offset, end: range.end)
            byteCount += range.end - last.end
        } else {
            ranges.append(range)
            byteCount += range.count
        }
    }

    /// Whether ``append(_:_:gap:)`` would make a range of its own of `range`.
    func needsNewRange(for range: ByteRange, gap: UInt64) -> Bool {
        guard let last = ranges.last else { return true }
        return range.offset < last.end || range.offset - last.end > gap
    }
}

extension LayerState {
    /// The most extents that one request carries.
    static let extentsPerRun = 16384

    /// A run of open extents from `range`, from its first open one on: up to `limit` bytes of the blob (or one extent that
    /// is larger), across gaps of up to `gap`, and across larger ones while there are no more than `ranges` ranges.
    func backgroundRun(in range: Range<Int>, limit: UInt64, gap: UInt64, ranges: Int = 1) -> Run {
        var run = Run()
        var count = 0
        for extent in range where isOpen(extent) {
            let blob = map.blobRange(of: extent)
            if !run.isEmpty {
                let isApart = run.needsNewRange(for: blob, gap: gap)
                let bytes = isApart ? blob.count : blob.end - run.blob.end
                guard blob.offset >= run.blob.end, bytes <= limit - min(run.byteCount, limit),
                    !isApart || run.ranges.count < ranges, count < Self.extentsPerRun
                else { break }
            }
            run.append(extent, blob, gap: gap)
            count += 1
        }
        return run
    }

    /// The run for the wanted extent `start`: the wanted extents from there on, then readahead that is planned, then
    /// neighbours; what is neither ends it.
    ///
    /// - Parameter spare: bytes of neighbours that cost nobody time.
    func demandRun(
        from start: Int, _ configuration: PlannerConfiguration, spare: UInt64, now: MonotonicTime
    ) -> (run: Run, neighbours: [Int]) {
        var run = Run()
        var neighbours: [Int] = []
        var demanded: UInt64 = 0
        var ahead: UInt64 = 0
        var beside: UInt64 = 0
        var count = 0
        for extent in start..<marks.count {
            let blob = map.blobRange(of: extent)
            if !run.isEmpty {
                guard blob.offset >= run.blob.end, blob.offset - run.blob.end <= configuration.mergeGap,
                    blob.end - run.blob.offset <= configuration.runLimit.demand, count < Self.extentsPerRun
                else { break }
            }
            let mark = marks[extent]
            guard !mark.contains(.inFlight), !map.isPresent(extent) else { continue }
            if mark.contains(.wanted) {
                demanded &+= blob.count
            } else if mark.contains(.avoid) {
                continue
            } else if mark.contains(.planned) {
                guard ahead &+ blob.count <= configuration.demandAhead else { break }
                ahead &+= blob.count
            } else {
                let limit = foresight.isGood ? configuration.neighbourhood.foreseen : .max
                let allowance =
                    neighbourhood?.allowance(
                        forDemandOf: demanded, limit: map.extentsSpanFiles ? min(spare, limit) : limit) ?? 0
                guard now >= profiledUntil, beside &+ blob.count <= allowance else { break }
                beside &+= blob.count
                neighbours.append(extent)
            }
            run.append(extent, blob, gap: configuration.mergeGap)
            count += 1
        }
        return (run, neighbours)
    }
}
