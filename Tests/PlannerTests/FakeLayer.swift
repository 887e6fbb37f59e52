import Base
import ContentStore
import Planner

/// A layer made of extents whose sizes, gaps and file starts a test chooses; presence is set by the test.
final class FakeLayer: ExtentMap {
    private let ranges: [ByteRange]
    private let starts: [Bool]
    private let present: Guarded<[Bool]>
    let extentsSpanFiles: Bool

    /// `sizes` one after the other, each `gap` bytes behind the one before. `files` are the extents that begin a file;
    /// `nil` for all.
    init(sizes: [UInt64], gap: UInt64 = 0, files: Set<Int>? = nil, spansFiles: Bool = false) {
        extentsSpanFiles = spansFiles
        var ranges: [ByteRange] = []
        var position: UInt64 = 0
        for size in sizes {
            ranges.append(ByteRange(offset: position, end: position + size))
            position += size + gap
        }
        self.ranges = ranges
        starts = sizes.indices.map { files?.contains($0) ?? true }
        present = Guarded(Array(repeating: false, count: sizes.count))
    }

    var extentCount: Int { ranges.count }
    func blobRange(of extent: Int) -> ByteRange { ranges[extent] }
    func isPresent(_ extent: Int) -> Bool { present.withLock { $0[extent] } }
    func beginsFile(_ extent: Int) -> Bool { starts[extent] }

    func setPresent(_ extents: [Int], _ value: Bool = true) {
        present.withLock { for extent in extents { $0[extent] = value } }
    }

    var missing: Int { present.withLock { $0.count { !$0 } } }
}

let millisecond: UInt64 = 1_000_000
let second: UInt64 = 1_000_000_000
let kibibyte: UInt64 = 1 << 10
let mebibyte: UInt64 = 1 << 20

extension PlannerConfiguration {
    /// Without what depends on guesses, for tests of everything else.
    static var plain: PlannerConfiguration {
        var configuration = PlannerConfiguration()
        configuration.fillDelay = 0
        configuration.fillQuiet = 500 * millisecond
        configuration.fillQuietAfterRead = 500 * millisecond
        configuration.eagerSmallest = 0
        configuration.eagerSeconds = 0
        configuration.eagerLargest = 0
        configuration.neighbourhood.first = 0
        configuration.neighbourhood.smallest = 0
        configuration.neighbourhood.largest = 0
        configuration.surroundings = 0
        return configuration
    }

    /// With guesses of sizes that these tests can count, whatever the defaults are.
    static var guessing: PlannerConfiguration {
        var configuration = PlannerConfiguration()
        configuration.neighbourhood.first = 128 * kibibyte
        configuration.neighbourhood.smallest = 32 * kibibyte
        configuration.neighbourhood.largest = 512 * kibibyte
        return configuration
    }
}

/// A planner and what it has asked for, driven by a test.
struct Desk {
    var planner: Planner
    var now = MonotonicTime(nanoseconds: 1_000 * second)
    var started: [FetchRequest] = []
    var completed: [UInt64: ChunkOutcome] = [:]
    var resumed: [RequestID] = []
    var expedited: [Int] = []
    private var lastTicket: UInt64 = 0

    init(_ configuration: PlannerConfiguration = .plain) {
        planner = Planner(configuration)
    }

    mutating func apply(_ actions: [PlannerAction]) {
        for action in actions {
            switch action {
            case .start(let request): started.append(request)
            case .resume(let id): resumed.append(id)
            case .expedite(_, let extent): expedited.append(extent)
            case .complete(let ticket, let outcome):
                precondition(completed[ticket.value] == nil, "demand \(ticket.value) completed twice")
                completed[ticket.value] = outcome
            }
        }
    }

    mutating func attach(_ layer: FakeLayer, host: String = "registry") -> LayerID {
        planner.attach(layer, host: host)
    }

    @discardableResult
    mutating func demand(_ layer: LayerID, _ extents: Range<Int>) -> UInt64 {
        lastTicket += 1
        apply(planner.demand(DemandID(value: lastTicket), layer: layer, extents: extents, now: now))
        return lastTicket
    }

    mutating func cancel(_ ticket: UInt64) {
        apply(planner.cancel(DemandID(value: ticket), now: now))
    }

    mutating func noteRead(_ layer: LayerID, _ extents: Range<Int>) {
        apply(planner.noteRead(layer, extents: extents, now: now))
    }

    mutating func prefetch(_ layer: LayerID, _ extents: Range<Int>) {
        apply(planner.prefetch([(layer, extents)], now: now))
    }

    /// A profile: pieces in the order of first use.
    mutating func prefetch(_ pieces: [(layer: LayerID, extents: Range<Int>)], isPredicted: Bool = false) {
        apply(planner.prefetch(pieces, isPredicted: isPredicted, now: now))
    }

    mutating func fill(_ layer: LayerID) {
        apply(planner.fill([layer], now: now))
    }

    mutating func pass(_ nanoseconds: UInt64) {
        now = now.advanced(by: nanoseconds)
        apply(planner.tick(now: now))
    }

    /// The requests started since the last call.
    mutating func newRequests() -> [FetchRequest] {
        defer { started = [] }
        return started
    }

    mutating func advance(_ request: FetchRequest) -> Advance {
        planner.advance(request.id, now: now)
    }

    /// Takes up to `limit` extents of a request; gives them.
    mutating func take(_ request: FetchRequest, _ limit: Int = .max) -> [Int] {
        var taken: [Int] = []
        while taken.count < limit, case .take(let extent, _) = advance(request) { taken.append(extent) }
        return taken
    }

    mutating func done(_ layer: LayerID, _ extent: Int, _ outcome: ExtentOutcome) {
        apply(planner.extentDone(layer, extent: extent, outcome: outcome, now: now))
    }

    mutating func arrive(_ layer: LayerID, _ fake: FakeLayer, _ extents: [Int]) {
        for extent in extents {
            fake.setPresent([extent])
            done(layer, extent, .available)
        }
    }

    mutating func end(_ request: FetchRequest, _ failure: RequestFailure? = nil) {
        apply(planner.requestEnded(request.id, failure: failure, now: now))
    }

    /// Carries a request out to its end.
    @discardableResult
    mutating func carryOut(_ request: FetchRequest, _ layer: LayerID, _ fake: FakeLayer) -> [Int] {
        let taken = take(request)
        arrive(layer, fake, taken)
        end(request)
        return taken
    }
}
