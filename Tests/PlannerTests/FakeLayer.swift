import Base
import ContentStore
import Planner

/// A layer of extents with given sizes, gaps and file starts. The test sets which extents are present.
final class FakeLayer: ExtentMap {
    private let ranges: [ByteRange]
    private let starts: [Bool]
    private let present: Guarded<[Bool]>
    let extentsSpanFiles: Bool

    /// Creates a layer of extents with these sizes, with gaps of `gap` bytes between them. `files` are the extents that
    /// begin a file; `nil` for all.
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
    /// A configuration without speculation.
    static var plain: PlannerConfiguration {
        var configuration = PlannerConfiguration()
        configuration.fillDelay = .zero
        configuration.fillQuiet = .milliseconds(500)
        configuration.fillQuietAfterRead = .milliseconds(500)
        configuration.eagerSmallest = 0
        configuration.eagerSeconds = 0
        configuration.eagerLargest = 0
        configuration.readAround.first = 0
        configuration.readAround.smallest = 0
        configuration.readAround.largest = 0
        configuration.nearbyFillDistance = 0
        return configuration
    }

    /// A configuration with speculation in sizes that tests can count, independent of the defaults.
    static var guessing: PlannerConfiguration {
        var configuration = PlannerConfiguration()
        configuration.readAround.first = 128 * kibibyte
        configuration.readAround.smallest = 32 * kibibyte
        configuration.readAround.largest = 512 * kibibyte
        return configuration
    }
}

/// A planner that a test drives, and the actions that it returned.
struct Desk {
    var planner: Planner
    var now = MonotonicTime(nanoseconds: 1_000 * second)
    var started: [FetchRequest] = []
    var completed: [UInt64: ChunkOutcome] = [:]
    var resumed: [RequestID] = []
    var expedited: [Int] = []
    /// The layers to recover.
    var recoveries: [LayerID] = []
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
            case .recover(let layer, _): recoveries.append(layer)
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
        prefetch([(layer, extents)])
    }

    /// Passes a hint to the planner, with its runs in the order of first use.
    mutating func prefetch(_ runs: [(layer: LayerID, extents: Range<Int>)], source: HintSource = .landmark) {
        apply(planner.prefetch(runs, source: source, now: now))
    }

    /// Begins a recorded start in which this layer lacks nothing. Unlike a hint with extents, this does not pause
    /// speculation.
    mutating func beginStart(of layer: LayerID) {
        apply(planner.prefetch([(layer, 0..<0)], source: .recordedProfile, now: now))
    }

    func isKnown(_ layer: LayerID) -> Bool { planner.knownStart(of: layer, now: now) != nil }

    mutating func fill(_ layer: LayerID) {
        apply(planner.fill([layer], now: now))
    }

    mutating func pass(_ nanoseconds: UInt64) {
        now = now.advanced(by: nanoseconds)
        apply(planner.tick(now: now))
    }

    /// Returns the requests started since the last call.
    mutating func newRequests() -> [FetchRequest] {
        defer { started = [] }
        return started
    }

    mutating func nextStep(of request: FetchRequest) -> RequestStep {
        planner.nextStep(of: request.id, now: now)
    }

    /// Takes up to `limit` extents of a request, and returns them.
    mutating func take(_ request: FetchRequest, _ limit: Int = .max) -> [Int] {
        var taken: [Int] = []
        while taken.count < limit, case .take(let extent, _) = nextStep(of: request) { taken.append(extent) }
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

    /// Returns the recoveries begun since the last call.
    mutating func newRecoveries() -> [LayerID] {
        defer { recoveries = [] }
        return recoveries
    }

    mutating func recovered(_ layer: LayerID, _ extent: Int, _ outcome: ExtentOutcome) {
        apply(planner.extentRecovered(layer, extent: extent, outcome: outcome, now: now))
    }

    mutating func endRecovery(_ layer: LayerID, _ failure: String? = nil) {
        apply(planner.recoveryEnded(layer, failure: failure, now: now))
    }

    mutating func end(_ request: FetchRequest, _ failure: RequestFailure? = nil) {
        apply(planner.requestEnded(request.id, failure: failure, now: now))
    }

    /// Performs a request to its end, and returns the extents that it took.
    @discardableResult
    mutating func carryOut(_ request: FetchRequest, _ layer: LayerID, _ fake: FakeLayer) -> [Int] {
        let taken = take(request)
        arrive(layer, fake, taken)
        end(request)
        return taken
    }
}
