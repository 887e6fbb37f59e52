import Base
import Planner
import TestSupport
import Testing

/// Hints: the planner fetches them in the order of first use, in few requests, and does not speculate meanwhile.
@Suite struct ProfileTests {
    @Test func requestsABatchPerLayerInOrder() throws {
        var desk = Desk()
        let fakes = [
            FakeLayer(sizes: Array(repeating: 1000, count: 100), gap: mebibyte),
            FakeLayer(sizes: Array(repeating: 1000, count: 100), gap: mebibyte),
        ]
        let layers = fakes.map { desk.attach($0) }
        desk.prefetch([
            (layers[0], 50..<51), (layers[1], 7..<8), (layers[0], 3..<5), (layers[0], 50..<51), (layers[1], 2..<3),
        ])
        let requests = desk.newRequests()
        #expect(requests.map(\.layer) == layers)
        #expect(requests.map(\.fetchClass) == [.hint, .hint])
        #expect(requests.map(\.ranges) == [[50, 3, 4].map(fakes[0].blobRange), [7, 2].map(fakes[1].blobRange)])
        #expect(desk.carryOut(try #require(requests.first), layers[0], fakes[0]) == [50, 3, 4])
        #expect(desk.carryOut(try #require(requests.last), layers[1], fakes[1]) == [7, 2])
        #expect(desk.newRequests().isEmpty)
        #expect(desk.planner.statistics.hintedBytes == 5000)
        desk.noteRead(layers[0], 3..<5)
        desk.noteRead(layers[0], 3..<5)
        #expect(desk.planner.statistics.hintedBytesRead == 2000, "what is read twice counts once")
    }

    @Test func fetchesASmallRestAlong() throws {
        var configuration = PlannerConfiguration.plain
        configuration.hintFirstBatch = 3200
        configuration.runLimit.hint = 3200
        var desk = Desk(configuration)
        let fakes = (0..<2).map { _ in FakeLayer(sizes: Array(repeating: 100, count: 100), gap: mebibyte) }
        let layers = fakes.map { desk.attach($0) }
        desk.prefetch([
            (layers[0], 9..<10), (layers[1], 0..<60), (layers[0], 50..<51), (layers[1], 90..<92), (layers[1], 0..<1),
        ])
        var extents: [[Int]] = []
        while let request = desk.started.first {
            desk.started.removeFirst()
            let index = request.layer == layers[0] ? 0 : 1
            extents.append(desk.carryOut(request, layers[index], fakes[index]))
        }
        #expect(extents == [[9, 50], Array(0..<31), Array(31..<60) + [90, 91]])
    }

    @Test func mergesCloseExtentsIntoOneRange() {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 1000, count: 10), gap: 500)
        let layer = desk.attach(fake)
        desk.prefetch([(layer, 2..<3), (layer, 4..<6), (layer, 0..<1)])
        #expect(
            desk.newRequests().map(\.ranges) == [
                [ByteRange(offset: 3000, end: 8500), ByteRange(offset: 0, end: 1000)]
            ])
    }

    /// Runs in any order give ranges that do not overlap, and each extent is in one of them.
    @Test(arguments: 0..<20) func neverOverlapsRanges(_ round: Int) {
        var random = SeededRandom(named: "ProfileTests round \(round)")
        var desk = Desk()
        let fake = FakeLayer(
            sizes: (0..<300).map { _ in UInt64.random(in: 1...9000, using: &random) },
            gap: UInt64.random(in: 0...9000, using: &random))
        let layer = desk.attach(fake)
        if Bool.random(using: &random) { desk.planner.noteSingleRanges(layer) }
        var wanted: Set<Int> = []
        desk.prefetch(
            (0..<200).map { _ in
                let start = Int.random(in: 0..<298, using: &random)
                wanted.formUnion(start..<start + 2)
                return (layer, start..<start + 2)
            })
        var taken: [Int] = []
        while !desk.started.isEmpty {
            let request = desk.started.removeFirst()
            let ascending = request.ranges.sorted { $0.offset < $1.offset }
            #expect(zip(ascending, ascending.dropFirst()).allSatisfy { $0.end <= $1.offset })
            var left = request.ranges[...]
            for extent in desk.carryOut(request, layer, fake) {
                while let range = left.first, !range.contains(fake.blobRange(of: extent)) { left.removeFirst() }
                #expect(!left.isEmpty, "extent \(extent) does not come in its turn")
                taken.append(extent)
            }
        }
        #expect(taken.count == wanted.count)
        #expect(Set(taken) == wanted)
    }

    @Test func requestsOneRangeFromHostsWithoutMultipart() {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 1000, count: 100), gap: mebibyte)
        let layer = desk.attach(fake)
        desk.planner.noteSingleRanges(layer)
        desk.prefetch([(layer, 9..<10), (layer, 1..<2), (layer, 5..<6)])
        #expect(desk.newRequests().map(\.ranges) == [1, 5, 9].map { [fake.blobRange(of: $0)] })
    }

    @Test func boundsRangesPerRequest() {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 10, count: 1000), gap: mebibyte)
        let layer = desk.attach(fake)
        desk.prefetch((0..<300).map { (layer, (999 - 3 * $0)..<(1000 - 3 * $0)) })
        let requests = desk.newRequests()
        #expect(requests.map(\.ranges.count) == [128, 128, 44])
    }

    /// The next batch starts shortly before the previous one has arrived.
    @Test func startsTheNextBatchBeforeTheLastEnds() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 512 * kibibyte, count: 16))
        let layer = desk.attach(fake)
        desk.prefetch(layer, 0..<16)
        let first = try #require(desk.newRequests().first)
        #expect(first.blob.count == 2 * mebibyte)
        #expect(desk.take(first, 1) == [0])
        desk.pass(millisecond)
        #expect(desk.newRequests().isEmpty)
        #expect(desk.take(first, 1) == [1])
        desk.pass(millisecond)
        #expect(desk.newRequests().map(\.blob.count) == [6 * mebibyte])
    }

    @Test func fetchesNoNeighborsInAHintedLayer() {
        var configuration = PlannerConfiguration.guessing
        configuration.fillDelay = .zero
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: 10 * kibibyte, count: 100))
        let layer = desk.attach(fake)
        desk.prefetch(layer, 90..<91)
        desk.started = []
        desk.demand(layer, 10..<11)
        #expect(desk.newRequests().map(\.ranges) == [[fake.blobRange(of: 10)]])
        desk.pass(10 * second)
        desk.demand(layer, 50..<51)
        #expect(desk.newRequests().contains { $0.blob.count > 100 * kibibyte }, "later, it is guessed again")
    }

    @Test func retriesBeforeTheRest() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: mebibyte, count: 8), gap: mebibyte)
        let layer = desk.attach(fake)
        desk.prefetch([(layer, 6..<7), (layer, 2..<3), (layer, 4..<5), (layer, 0..<1)])
        let first = try #require(desk.newRequests().first)
        #expect(desk.take(first, 1) == [6])
        desk.arrive(layer, fake, [6])
        desk.end(first, RequestFailure(.retryable, reason: "gone"))
        var taken: [Int] = []
        for _ in 0..<10 where fake.missing > 4 {
            desk.pass(second)
            for request in desk.newRequests() { taken += desk.carryOut(request, layer, fake) }
        }
        #expect(taken.sorted() == [0, 2, 4])
    }
}
