import Base
import ContentStore
import Planner
import TestSupport
import Testing

/// Invariants that hold under random orders of events, with overlapping readers and a failing registry.
@Suite struct RandomScheduleTests {
    @Test(arguments: 0..<24)
    func invariantsHold(_ round: Int) throws {
        var world = World(random: SeededRandom(named: "RandomScheduleTests round \(round)"))
        for _ in 0..<3000 {
            try world.chance()
            try world.settle()
        }
        // No new events: every demand that waits must end.
        for _ in 0..<20_000 where !world.open.isEmpty {
            for index in world.running.indices.reversed() { try world.step(index) }
            for index in world.recovering.indices.reversed() { world.recover(index) }
            while !world.decoding.isEmpty { world.decode() }
            try world.settle()
            let wake = world.desk.planner.wakeTime ?? world.desk.now
            world.desk.pass(world.running.isEmpty ? max(wake.since(world.desk.now), 1) : 1 * millisecond)
            try world.settle()
        }
        #expect(world.open.isEmpty)
        #expect(world.desk.completed.count == world.tickets)
        #expect(world.desk.completed.values.contains(.available))
    }
}

/// A registry and readers that act at random, from one seed.
private struct World {
    struct Running {
        let request: FetchRequest
        let layer: Int
        var current: Int?
        var paused = false
    }

    var random: SeededRandom
    var desk: Desk
    let configuration: PlannerConfiguration
    var fakes: [FakeLayer] = []
    var layers: [LayerID] = []
    var running: [Running] = []
    var decoding: [(layer: Int, extent: Int)] = []
    /// The running recoveries: each one's layer, and the next extent in its archive.
    var recovering: [(layer: Int, next: Int)] = []
    /// The extents of each layer that a request has taken and that are not decoded yet.
    var held: [Set<Int>] = []
    var open: Set<UInt64> = []
    var tickets = 0

    init(random: SeededRandom) {
        var random = random
        var configuration = PlannerConfiguration()
        configuration.requestLimit.demand = Int.random(in: 1...6, using: &random)
        configuration.runLimit = PerClass(demand: 4096, hint: 2048, readahead: 2048, fill: 2048)
        configuration.joinDistance = UInt64.random(in: 0...2000, using: &random)
        configuration.mergeGap = UInt64.random(in: 0...64, using: &random)
        configuration.readaheadFirst = 256
        configuration.readAround.first = UInt64.random(in: 0...1000, using: &random)
        self.configuration = configuration
        desk = Desk(configuration)
        for _ in 0..<3 {
            let count = Int.random(in: 1...60, using: &random)
            let gap = UInt64.random(in: 0...80, using: &random)
            var sizes: [UInt64] = []
            for _ in 0..<count { sizes.append(UInt64.random(in: 1...400, using: &random)) }
            let fake = FakeLayer(sizes: sizes, gap: gap)
            fakes.append(fake)
            layers.append(desk.attach(fake))
            held.append([])
        }
        for layer in layers where Bool.random(using: &random) { desk.prefetch(layer, 0..<20) }
        for layer in layers { desk.fill(layer) }
        self.random = random
    }

    /// Performs one random event.
    mutating func chance() throws {
        let layer = Int.random(in: 0..<layers.count, using: &random)
        let extent = Int.random(in: 0..<fakes[layer].extentCount, using: &random)
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<2:
            let end = min(extent + Int.random(in: 1...6, using: &random), fakes[layer].extentCount)
            open.insert(desk.demand(layers[layer], extent..<end))
            tickets += 1
        case 2:
            if let ticket = open.sorted().randomElement(using: &random) { desk.cancel(ticket) }
        case 3: desk.noteRead(layers[layer], extent..<extent + 1)
        case 4..<7: desk.pass(UInt64.random(in: 0..<300 * millisecond, using: &random))
        case 7..<9: decode()
        case 9: if let index = recovering.indices.randomElement(using: &random) { recover(index) }
        case 10:
            // The store has dropped the extent, so it must be fetched again.
            if !held[layer].contains(extent) { fakes[layer].setPresent([extent], false) }
        case 11:
            // The layer's fill may be complete, so ask for it again.
            desk.fill(layers[layer])
        default:
            if let index = running.indices.randomElement(using: &random) { try step(index) }
        }
    }

    mutating func settle() throws {
        for request in desk.newRequests() {
            let layer = try #require(layers.firstIndex(of: request.layer))
            running.append(Running(request: request, layer: layer))
        }
        for id in desk.newRecoveries() {
            let layer = try #require(layers.firstIndex(of: id))
            try #require(!recovering.contains { $0.layer == layer }, "a layer is recovered twice at the same time")
            recovering.append((layer, 0))
        }
        for index in running.indices where desk.resumed.contains(running[index].request.id) {
            running[index].paused = false
        }
        desk.resumed = []
        open.subtract(desk.completed.keys)
        // Promoted requests no longer count in the class in which they started, so that class may have started more.
        for fetchClass in FetchClass.allCases {
            let count = running.count { $0.request.fetchClass == fetchClass }
            let promoted = fetchClass == .demand ? 0 : Int(desk.planner.statistics.promoted)
            try #require(count <= configuration.requestLimit[fetchClass] + promoted)
        }
    }

    /// Advances a running request by one extent, or fails it.
    mutating func step(_ index: Int) throws {
        let (request, layer) = (running[index].request, running[index].layer)
        if Int.random(in: 0..<20, using: &random) == 0 {
            if let current = running[index].current { held[layer].remove(current) }
            running.remove(at: index)
            let kinds: [RequestFailure.Kind] = [
                .retryable, .unusable, .throttled(retryAfter: 2 * second), .throttled(retryAfter: nil), .permanent,
            ]
            desk.end(request, RequestFailure(kinds.randomElement(using: &random) ?? .permanent, reason: "chance"))
            return
        }
        guard !running[index].paused else { return }
        if let current = running[index].current { decoding.append((layer, current)) }
        running[index].current = nil
        switch desk.nextStep(of: request) {
        case .take(let extent, _):
            try #require(held[layer].insert(extent).inserted, "extent \(extent) is in two requests")
            running[index].current = extent
        case .pause: running[index].paused = true
        case .end:
            running.remove(at: index)
            desk.end(request)
        }
    }

    /// Recovers the next extent of a layer, or ends the recovery.
    mutating func recover(_ index: Int) {
        let (layer, next) = recovering[index]
        let isFailing = Int.random(in: 0..<20, using: &random) == 0
        guard next < fakes[layer].extentCount, !isFailing else {
            recovering.remove(at: index)
            desk.endRecovery(layers[layer], isFailing ? "chance" : nil)
            return
        }
        recovering[index].next += 1
        if Int.random(in: 0..<10, using: &random) == 0 {
            desk.recovered(layers[layer], next, .unstorable(reason: "chance"))
        } else {
            fakes[layer].setPresent([next])
            desk.recovered(layers[layer], next, .available)
        }
    }

    mutating func decode() {
        guard let index = decoding.indices.randomElement(using: &random) else { return }
        let (layer, extent) = decoding.remove(at: index)
        held[layer].remove(extent)
        switch Int.random(in: 0..<40, using: &random) {
        case 0: desk.done(layers[layer], extent, .corrupt(reason: "chance"))
        case 1: desk.done(layers[layer], extent, .unstorable(reason: "chance"))
        default: desk.arrive(layers[layer], fakes[layer], [extent])
        }
    }
}
