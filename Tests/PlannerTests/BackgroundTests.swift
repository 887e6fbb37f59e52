import Base
import ContentStore
import Planner
import Testing

@Suite struct BackgroundTests {
    @Test func startsClassesInOrder() throws {
        var desk = Desk()
        let fakes = [FakeLayer(sizes: [100, 100]), FakeLayer(sizes: [100, 100])]
        let layers = fakes.map { desk.attach($0) }
        desk.prefetch(layers[0], 0..<1)
        desk.fill(layers[0])
        desk.fill(layers[1])
        let profile = desk.newRequests()
        #expect(profile.map(\.fetchClass) == [.hint], "fill waits for what is known to be needed")
        desk.carryOut(try #require(profile.first), layers[0], fakes[0])
        let fill = desk.newRequests()
        #expect(fill.map(\.fetchClass) == [.fill, .fill])
        #expect(fill.map(\.layer) == layers)
        #expect(fill.first?.blob == ByteRange(offset: 100, end: 200))
        for (index, request) in fill.enumerated() { desk.carryOut(request, layers[index], fakes[index]) }
        #expect(fakes.allSatisfy { $0.missing == 0 })
        #expect(!desk.planner.isFilling(layers[0]) && !desk.planner.isFilling(layers[1]))
    }

    @Test func startsFillAfterTheFirstDemandIsQuiet() throws {
        var configuration = PlannerConfiguration()
        configuration.eagerSmallest = 0
        var desk = Desk(configuration)
        let fakes = [FakeLayer(sizes: [100]), FakeLayer(sizes: [100])]
        let layers = fakes.map { desk.attach($0) }
        desk.fill(layers[0])
        desk.pass(2 * second)
        #expect(desk.newRequests().isEmpty, "a container is about to start")
        desk.demand(layers[1], 0..<1)
        let demand = try #require(desk.newRequests().first)
        desk.carryOut(demand, layers[1], fakes[1])
        desk.pass(second / 4)
        #expect(desk.newRequests().isEmpty, "it may read on")
        desk.pass(second / 2)
        #expect(desk.newRequests().map(\.fetchClass) == [.fill])
    }

    @Test func fillStopsWhileItIsNotAllowed() throws {
        var desk = Desk(PlannerConfiguration())
        let fakes = (0..<2).map { _ in FakeLayer(sizes: Array(repeating: 100 * kibibyte, count: 10)) }
        let layers = fakes.map { desk.attach($0) }
        desk.apply(desk.planner.allowFill(false, now: desk.now))
        #expect(!desk.planner.isFillAllowed)
        // Even a small image, which fill otherwise fetches at once.
        desk.apply(desk.planner.fill(layers, now: desk.now))
        desk.pass(60 * second)
        #expect(desk.newRequests().isEmpty)
        desk.demand(layers[0], 3..<4)
        let demand = try #require(desk.newRequests().first, "readers are served")
        #expect(demand.fetchClass == .demand)
        desk.carryOut(demand, layers[0], fakes[0])
        desk.pass(60 * second)
        #expect(desk.newRequests().allSatisfy { $0.fetchClass != .fill })
        desk.apply(desk.planner.allowFill(true, now: desk.now))
        #expect(desk.newRequests().contains { $0.fetchClass == .fill }, "it goes on where it was")
    }

    @Test func fillsASmallImageAtOnce() throws {
        var desk = Desk(PlannerConfiguration())
        let fakes = (0..<2).map { _ in
            FakeLayer(sizes: Array(repeating: 100 * kibibyte, count: 10), gap: 100 * kibibyte)
        }
        let layers = fakes.map { desk.attach($0) }
        desk.demand(layers[0], 3..<4)
        #expect(desk.newRequests().map(\.fetchClass) == [.demand])
        desk.apply(desk.planner.fill(layers, now: desk.now))
        #expect(Set(desk.newRequests().map(\.fetchClass)) == [.fill], "although a reader waits")
        // An image of twice the size waits for readers until the link is known to be fast enough.
        let large = FakeLayer(sizes: Array(repeating: 100 * kibibyte, count: 40))
        let layer = desk.attach(large)
        desk.fill(layer)
        #expect(desk.newRequests().allSatisfy { $0.layer != layer })
    }

    @Test func fillsAMostlyHintedImageAtOnce() throws {
        for (named, isEager) in [(15, true), (5, false)] {
            var desk = Desk(PlannerConfiguration())
            let fake = FakeLayer(sizes: Array(repeating: mebibyte, count: 20), gap: 1)
            let layer = desk.attach(fake)
            desk.prefetch(layer, 0..<named)
            desk.fill(layer)
            while let request = desk.started.first(where: { $0.fetchClass == .hint }) {
                desk.started.removeAll { $0.id == request.id }
                desk.carryOut(request, layer, fake)
            }
            #expect(desk.newRequests().isEmpty, "a profile is not over with its last byte")
            desk.pass(second + second / 10)
            #expect(desk.newRequests().contains { $0.fetchClass == .fill } == isEager, "\(named) of 20")
        }
    }

    @Test func throttlesFillWhileDemandIsLate() throws {
        var desk = Desk()
        let fakes = [20, 20, 400].map { FakeLayer(sizes: Array(repeating: mebibyte, count: $0)) }
        let layers = fakes.map { desk.attach($0) }
        func read(_ number: Int, after delay: UInt64) throws {
            let extent = number * 37 % 400
            desk.demand(layers[2], extent..<extent + 1)
            let request = try #require(desk.newRequests().first { $0.fetchClass == .demand })
            desk.pass(delay)
            desk.carryOut(request, layers[2], fakes[2])
        }
        for number in 0..<4 { try read(number, after: 20 * millisecond) }
        #expect(desk.planner.statistics.throttled == 0)
        for number in 4..<9 { try read(number, after: 100 * millisecond) }
        #expect(desk.planner.statistics.throttled > 2)
        desk.fill(layers[0])
        desk.fill(layers[1])
        desk.pass(600 * millisecond)
        #expect(desk.newRequests().map(\.fetchClass) == [.fill])
        desk.pass(600 * millisecond)
        #expect(desk.newRequests().map(\.fetchClass) == [.fill], "nobody has been kept waiting for a second")
        // Answers are as quick as before, so the limits are restored.
        let before = desk.planner.statistics.throttled
        for number in 9..<17 { try read(number, after: 20 * millisecond) }
        #expect(desk.planner.statistics.throttled == before)
    }

    @Test func countsStallsPerLayer() throws {
        var desk = Desk()
        let fakes = [FakeLayer(sizes: [100]), FakeLayer(sizes: [100])]
        let layers = fakes.map { desk.attach($0) }
        desk.demand(layers[0], 0..<1)
        desk.pass(second / 50)
        let request = try #require(desk.newRequests().first)
        desk.carryOut(request, layers[0], fakes[0])
        let seen = desk.planner.statistics(of: layers[0])
        #expect(seen.stalls == 1)
        #expect(seen.stalled >= second / 50)
        #expect(seen.longestStall == seen.stalled)
        #expect(seen.surprises == 1)
        #expect(seen.requests.demand == 1)
        #expect(seen.bytes.demand == 100)
        #expect(desk.planner.statistics(of: layers[1]) == LayerStatistics())
        let bucket = try #require(StallHistogram.bounds.firstIndex { $0 >= seen.stalled })
        #expect(desk.planner.statistics.stalls.counts[bucket] == 1)
        #expect(desk.planner.statistics.stalls.counts.reduce(0, +) == 1)
    }

    @Test func fetchesHintsInGrowingBatches() {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: mebibyte, count: 20))
        let layer = desk.attach(fake)
        desk.prefetch(layer, 0..<20)
        var ranges: [ByteRange] = []
        while !desk.started.isEmpty {
            let request = desk.started.removeFirst()
            ranges.append(request.blob)
            desk.carryOut(request, layer, fake)
        }
        #expect(ranges.map(\.count) == [2 * mebibyte, 8 * mebibyte, 10 * mebibyte])
        #expect(ranges.map(\.offset) == [0, 2 * mebibyte, 10 * mebibyte])
        #expect(fake.missing == 0)
    }

    @Test func promotesARequestThatAReaderHits() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 100, count: 4))
        let layer = desk.attach(fake)
        desk.prefetch(layer, 0..<4)
        let request = try #require(desk.newRequests().first)
        let ticket = desk.demand(layer, 2..<3)
        #expect(desk.newRequests().isEmpty)
        #expect(desk.planner.statistics.promoted == 1)
        #expect(desk.nextStep(of: request) == .take(0, awaited: false))
        #expect(desk.nextStep(of: request) == .take(1, awaited: false))
        #expect(desk.nextStep(of: request) == .take(2, awaited: true))
        desk.arrive(layer, fake, [0, 1, 2])
        #expect(desk.completed[ticket] == .available)
    }

    @Test func cutsARequestForAFarDemandAndFetchesTheRest() throws {
        var configuration = PlannerConfiguration.plain
        configuration.hintFirstBatch = 8 * mebibyte
        configuration.joinDistanceInHint = 2 * mebibyte
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: mebibyte, count: 8))
        let layer = desk.attach(fake)
        desk.prefetch(layer, 0..<8)
        let profile = try #require(desk.newRequests().first)
        #expect(desk.take(profile, 1) == [0])
        let ticket = desk.demand(layer, 5..<6)
        let requests = desk.newRequests()
        #expect(requests.map(\.fetchClass) == [.demand])
        #expect(requests.map(\.blob) == [ByteRange(offset: 5 * mebibyte, end: 6 * mebibyte)])
        #expect(desk.take(profile) == [1, 2, 3, 4], "what was asked for twice is not read twice")
        desk.arrive(layer, fake, Array(0..<5))
        let rest = desk.newRequests()
        #expect(rest.map(\.fetchClass) == [.hint])
        #expect(rest.map(\.blob) == [ByteRange(offset: 6 * mebibyte, end: 8 * mebibyte)])
        desk.end(profile)
        for request in requests + rest { desk.carryOut(request, layer, fake) }
        #expect(desk.completed[ticket] == .available)
        #expect(fake.missing == 0)
        #expect(desk.planner.statistics.cut == 1)
    }

    @Test func joinsDemandedExtentsHoweverFar() {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: Array(repeating: mebibyte, count: 8)))
        desk.demand(layer, 0..<7)
        #expect(desk.newRequests().count == 1)
        desk.demand(layer, 6..<7)
        #expect(desk.newRequests().isEmpty, "bytes that somebody waits for are no reason to go around them")
    }

    @Test func resumesFillWhenDemandIsQuiet() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: mebibyte, count: 32))
        let layer = desk.attach(fake)
        let ticket = desk.demand(layer, 30..<31)
        desk.fill(layer)
        let demand = try #require(desk.newRequests().first)
        #expect(demand.fetchClass == .demand)
        desk.carryOut(demand, layer, fake)
        #expect(desk.completed[ticket] == .available)
        #expect(desk.newRequests().isEmpty, "not at once")
        #expect(desk.planner.wakeTime == desk.now.advanced(by: 500 * millisecond))
        desk.pass(499 * millisecond)
        #expect(desk.newRequests().isEmpty)
        desk.pass(1 * millisecond)
        #expect(desk.newRequests().map(\.fetchClass) == [.fill, .fill])
    }

    @Test func delaysTheFirstFill() {
        var configuration = PlannerConfiguration.plain
        configuration.fillDelay = .seconds(3)
        var desk = Desk(configuration)
        let layer = desk.attach(FakeLayer(sizes: [100, 100]))
        desk.fill(layer)
        #expect(desk.started.isEmpty)
        #expect(desk.planner.wakeTime == desk.now.advanced(by: 3 * second))
        desk.pass(3 * second)
        #expect(desk.newRequests().map(\.fetchClass) == [.fill])
    }

    @Test func fillsAllHolesInOneRequest() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 100 * kibibyte, count: 100))
        let layer = desk.attach(fake)
        fake.setPresent((0..<100).filter { !$0.isMultiple(of: 5) })
        desk.fill(layer)
        let requests = desk.newRequests()
        #expect(requests.map(\.ranges.count) == [20])
        desk.carryOut(try #require(requests.first), layer, fake)
        #expect(fake.missing == 0)
        #expect(!desk.planner.isFilling(layer))
    }

    @Test func fillsHolesOneByOneForSingleRangeHosts() {
        var configuration = PlannerConfiguration.plain
        configuration.requestLimit.fill = 1
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: 100 * kibibyte, count: 20))
        let layer = desk.attach(fake)
        desk.planner.noteSingleRanges(layer)
        fake.setPresent([1, 2, 4, 5, 6, 7])
        desk.fill(layer)
        #expect(
            desk.newRequests().map(\.ranges) == [[ByteRange(offset: 0, end: 400 * kibibyte)]],
            "two extents between are fetched again rather than a request made for each hole; four are not")
    }

    /// Returns a planner whose link answered after `delay` nanoseconds. Its reader is at extent 50 of 100, each of 100
    /// KiB.
    private static func starting(delay: UInt64) throws -> (desk: Desk, fake: FakeLayer, layer: LayerID) {
        var configuration = PlannerConfiguration.plain
        configuration.nearbyFillDistance = 512 * kibibyte
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: 100 * kibibyte, count: 100))
        let layer = desk.attach(fake)
        desk.demand(layer, 50..<51)
        desk.pass(delay)
        desk.carryOut(try #require(desk.newRequests().first), layer, fake)
        desk.fill(layer)
        #expect(desk.newRequests().isEmpty, "not at once")
        return (desk, fake, layer)
    }

    @Test func fillsNearbyWhileAContainerStarts() throws {
        var (desk, fake, layer) = try Self.starting(delay: 50 * millisecond)
        desk.pass(25 * millisecond)
        var taken: [Int] = []
        while let request = desk.started.first {
            desk.started.removeFirst()
            #expect(request.fetchClass == .fill)
            desk.now = desk.now.advanced(by: 20 * millisecond)
            taken += desk.carryOut(request, layer, fake)
        }
        #expect(taken == Array(51...55) + Array(45...49), "half a mebibyte each way, what lies behind first")
        #expect(desk.planner.isFilling(layer))
        desk.pass(500 * millisecond)
        #expect(desk.newRequests().first?.ranges.first?.offset == 0, "then the layer from its start")
    }

    @Test func fillsNearbyOnlyOnSlowIdleLinks() throws {
        var (desk, _, _) = try Self.starting(delay: 5 * millisecond)
        desk.pass(400 * millisecond)
        #expect(desk.newRequests().isEmpty, "a reader is served as soon")

        (desk, _, _) = try Self.starting(delay: 50 * millisecond)
        let busy = desk.attach(FakeLayer(sizes: [100]))
        desk.demand(busy, 0..<1)
        desk.pass(400 * millisecond)
        #expect(desk.newRequests().map(\.fetchClass) == [.demand])
    }

    @Test func doesNotFillNearbyInAKnownStart() throws {
        var (desk, _, layer) = try Self.starting(delay: 50 * millisecond)
        desk.beginStart(of: layer)
        desk.pass(499 * millisecond)
        #expect(desk.newRequests().isEmpty)
        desk.pass(1 * millisecond)
        #expect(desk.newRequests().first?.ranges.first?.offset == 0)
    }

    @Test func pausesFillDuringCacheHits() {
        var configuration = PlannerConfiguration.plain
        configuration.fillDelay = .seconds(3)
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: 100 * kibibyte, count: 100))
        let layer = desk.attach(fake)
        fake.setPresent(Array(0..<50))
        desk.fill(layer)
        desk.pass(100 * millisecond)
        desk.noteRead(layer, 0..<1)
        desk.pass(499 * millisecond)
        #expect(desk.newRequests().isEmpty)
        desk.pass(1 * millisecond)
        #expect(desk.newRequests().map(\.fetchClass) == [.fill], "the first read ends the delay")
    }

    @Test func fillsDespiteLongCacheHits() {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 100 * kibibyte, count: 100))
        let layer = desk.attach(fake)
        fake.setPresent(Array(0..<50))
        desk.noteRead(layer, 0..<1)
        desk.fill(layer)
        var waited: UInt64 = 0
        while desk.newRequests().isEmpty, waited < 60 * second {
            desk.pass(400 * millisecond)
            desk.noteRead(layer, 0..<1)
            waited += 400 * millisecond
        }
        #expect(waited == 10 * second)
    }

    @Test func pausesRunningFillForDemand() throws {
        var configuration = PlannerConfiguration.plain
        configuration.requestLimit.fill = 1
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: mebibyte, count: 16))
        let layer = desk.attach(fake)
        desk.fill(layer)
        let fill = try #require(desk.newRequests().first)
        #expect(desk.take(fill, 1) == [0])
        desk.demand(layer, 15..<16)
        #expect(desk.nextStep(of: fill) == .pause)
        desk.arrive(layer, fake, [0])
        desk.carryOut(try #require(desk.newRequests().first), layer, fake)
        #expect(desk.resumed.isEmpty)
        desk.pass(500 * millisecond)
        #expect(desk.resumed == [fill.id])
        #expect(desk.take(fill) == Array(1..<8))
    }

    @Test func resumesPausedFillForItsReader() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: Array(repeating: 100 * kibibyte, count: 16)))
        let busy = desk.attach(FakeLayer(sizes: [100]))
        desk.fill(layer)
        let fill = try #require(desk.newRequests().first)
        desk.demand(busy, 0..<1)
        #expect(desk.nextStep(of: fill) == .pause)
        desk.demand(layer, 1..<2)
        #expect(desk.resumed == [fill.id])
        #expect(desk.nextStep(of: fill) == .take(0, awaited: false))
    }

    @Test func continuesStarvedFill() throws {
        var configuration = PlannerConfiguration.plain
        configuration.demandTimeout = .seconds(1000)
        var desk = Desk(configuration)
        let layer = desk.attach(FakeLayer(sizes: Array(repeating: 512 * kibibyte, count: 8)))
        let busy = desk.attach(FakeLayer(sizes: [100]))
        desk.fill(layer)
        let fill = try #require(desk.newRequests().first)
        desk.demand(busy, 0..<1)
        var taken: [Int] = []
        for round in 1...4 {
            #expect(desk.nextStep(of: fill) == .pause)
            desk.pass(5 * second)
            #expect(desk.resumed.count == round)
            taken += desk.take(fill)
            #expect(taken == Array(0..<2 * round), "1 MiB each 5 s")
        }
    }

    @Test func keepsTheFillCeiling() throws {
        var configuration = PlannerConfiguration.plain
        configuration.fillBytesPerSecond = mebibyte
        configuration.runLimit.fill = 4 * mebibyte
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: mebibyte, count: 64))
        let layer = desk.attach(fake)
        let begin = desk.now
        desk.fill(layer)
        for _ in 0..<1000 where fake.missing > 0 {
            while !desk.started.isEmpty { desk.carryOut(desk.started.removeFirst(), layer, fake) }
            guard fake.missing > 0 else { break }
            desk.now = try #require(desk.planner.wakeTime)
            desk.pass(0)
        }
        #expect(fake.missing == 0)
        let seconds = Double(desk.now.since(begin)) / 1e9
        #expect(seconds > 54 && seconds < 64, "\(seconds) s for 64 MiB at 1 MiB/s with a burst of one run")
    }

    @Test func throttlesOnlyTheHostsBackground() throws {
        var desk = Desk()
        let fakes = (0..<3).map { _ in FakeLayer(sizes: Array(repeating: mebibyte, count: 2)) }
        let layers = [
            desk.attach(fakes[0], host: "a"), desk.attach(fakes[1], host: "a"), desk.attach(fakes[2], host: "b"),
        ]
        desk.fill(layers[0])
        let fill = try #require(desk.newRequests().first)
        desk.end(fill, RequestFailure(.throttled(retryAfter: 10 * second), reason: "429"))
        desk.fill(layers[1])
        desk.fill(layers[2])
        let others = desk.newRequests()
        #expect(others.map(\.layer) == [layers[2]], "another registry is not concerned")
        desk.carryOut(try #require(others.first), layers[2], fakes[2])
        desk.demand(layers[1], 0..<1)
        let demand = desk.newRequests()
        #expect(demand.map(\.fetchClass) == [.demand])
        desk.carryOut(try #require(demand.first), layers[1], fakes[1])
        desk.pass(9 * second)
        #expect(desk.newRequests().isEmpty)
        desk.pass(1 * second)
        #expect(desk.newRequests().map(\.layer) == [layers[0], layers[1]])
    }

    @Test func pausesTheBackgroundOnAFullDisk() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: mebibyte, count: 32))
        let layer = desk.attach(fake)
        desk.fill(layer)
        let requests = desk.newRequests()
        #expect(requests.count == 2)
        let first = try #require(requests.first)
        #expect(desk.take(first, 1) == [0])
        let ticket = desk.demand(layer, 0..<1)
        desk.done(layer, 0, .unstorable(reason: "no space"))
        #expect(desk.completed[ticket] == .available, "the reader is served from memory")
        desk.pass(1 * second)
        for request in requests { desk.carryOut(request, layer, fake) }
        #expect(desk.newRequests().isEmpty)
        desk.pass(10 * second)
        #expect(desk.started.count == 2)
        while !desk.started.isEmpty { desk.carryOut(desk.started.removeFirst(), layer, fake) }
        #expect(fake.missing == 0, "the one that could not be stored is fetched again")
    }
}
