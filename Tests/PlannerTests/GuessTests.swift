import Base
import ContentStore
import Planner
import Testing

/// Speculation: read-ahead and read-around.
@Suite struct GuessTests {
    /// Returns the number of extents that are present ahead of a reader after each step, if all requests arrive at
    /// once.
    private func windows(_ order: [Int], extents: Int = 600, files: Set<Int> = [0]) -> [Int] {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 64 * kibibyte, count: extents), files: files)
        let layer = desk.attach(fake)
        return order.map { extent in
            if fake.isPresent(extent) {
                desk.noteRead(layer, extent..<extent + 1)
            } else {
                desk.demand(layer, extent..<extent + 1)
            }
            while !desk.started.isEmpty { desk.carryOut(desk.started.removeFirst(), layer, fake) }
            var end = extent + 1
            while end < extents, fake.isPresent(end) { end += 1 }
            return end - extent - 1
        }
    }

    @Test func doublesTheWindowOfSequentialReads() {
        let windows = windows(Array(0..<120))
        #expect(windows[0] == 0, "one read is not a sequence")
        #expect(windows[1] == 4, "256 KiB")
        #expect(windows[3] >= 8)
        #expect(windows[5] >= 16)
        #expect(windows.max() == 256, "16 MiB and no more")
    }

    @Test func fetchesNothingUnreadWhenTurnedOff() {
        var configuration = PlannerConfiguration()
        configuration.fetchNothingUnread()
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: 64 * kibibyte, count: 100), gap: 1)
        let layer = desk.attach(fake)
        for extent in 0..<50 {
            desk.demand(layer, extent..<extent + 1)
            desk.noteRead(layer, extent..<extent + 1)
            let requests = desk.newRequests()
            #expect(requests.map(\.blob) == [fake.blobRange(of: extent)])
            for request in requests { desk.carryOut(request, layer, fake) }
        }
        desk.pass(100 * second)
        #expect(desk.newRequests().isEmpty)
    }

    @Test(arguments: [true, false]) func readsNothingAheadInAKnownStart(isOver: Bool) throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 64 * kibibyte, count: 600))
        let layer = desk.attach(fake)
        fake.setPresent(Array(0..<8))
        desk.beginStart(of: layer)
        if isOver { desk.pass(10 * second) }
        for extent in 0..<8 { desk.noteRead(layer, extent..<extent + 1) }
        let ahead = desk.newRequests()
        #expect(ahead.isEmpty != isOver)
        guard !isOver else { return }
        desk.demand(layer, 8..<9)
        let bytes = desk.newRequests().reduce(0) { $0 + $1.blob.count }
        #expect(bytes > 256 * kibibyte, "what it does not have is read on")
    }

    @Test func forgetsAStartAfterUnexpectedReads() {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 64 * kibibyte, count: 600))
        let layer = desk.attach(fake)
        desk.beginStart(of: layer)
        for step in 0..<15 { desk.demand(layer, 30 * step..<30 * step + 1) }
        #expect(desk.isKnown(layer))
        desk.demand(layer, 500..<501)
        #expect(!desk.isKnown(layer))
        desk.beginStart(of: layer)
        #expect(!desk.isKnown(layer), "the same start")
        desk.pass(10 * second)
        desk.beginStart(of: layer)
        #expect(desk.isKnown(layer), "the next one")
    }

    @Test func limitsReadAroundWhilePredictionsHit() throws {
        var desk = Desk(PlannerConfiguration())
        let fake = FakeLayer(sizes: Array(repeating: 8 * kibibyte, count: 1000), gap: 1)
        let layer = desk.attach(fake)
        desk.prefetch([(layer, 10..<11), (layer, 500..<501)], source: .prediction)
        for request in desk.newRequests() {
            #expect(request.fetchClass == .hint)
            desk.carryOut(request, layer, fake)
        }
        #expect(desk.planner.statistics.predictedBytes == 16 * kibibyte)
        desk.noteRead(layer, 10..<11)
        #expect(desk.planner.statistics.predictedBytesRead == 8 * kibibyte)
        desk.demand(layer, 700..<701)
        var request = try #require(desk.newRequests().first)
        #expect(request.blob.count > 200 * kibibyte && request.blob.count < 300 * kibibyte, "one surprise")
        desk.carryOut(request, layer, fake)
        // After several reads that were not predicted, the planner no longer trusts the predictions.
        for extent in [100, 200] {
            desk.demand(layer, extent..<extent + 1)
            request = try #require(desk.newRequests().first)
            desk.carryOut(request, layer, fake)
        }
        #expect(request.blob.count > 400 * kibibyte)
    }

    /// This layer is like one with a streaming artifact, whose extents hold parts of many files.
    @Test func fetchesSpareBytesAlong() throws {
        var desk = Desk(PlannerConfiguration())
        let fake = FakeLayer(sizes: Array(repeating: 64 * kibibyte, count: 1000), spansFiles: true)
        let layer = desk.attach(fake)
        desk.demand(layer, 0..<1)
        let first = try #require(desk.newRequests().first)
        #expect(first.blob.count == 64 * kibibyte, "nothing is known of the link")
        desk.pass(50 * millisecond)
        desk.carryOut(first, layer, fake)
        // The link takes 50 ms to the first byte, then carries 13 MB/s.
        desk.prefetch(layer, 100..<130)
        for request in desk.newRequests() {
            desk.pass(50 * millisecond)
            while case .take(let extent, _) = desk.nextStep(of: request) {
                desk.pass(5 * millisecond)
                desk.arrive(layer, fake, [extent])
            }
            desk.end(request)
        }
        desk.pass(3 * second)
        desk.demand(layer, 500..<501)
        let second = try #require(desk.newRequests().first)
        #expect((500 * kibibyte...mebibyte + 64 * kibibyte).contains(second.blob.count))
        desk.demand(layer, 700..<701)
        #expect(try #require(desk.newRequests().first).blob.count < 200 * kibibyte, "the link is in use")
    }

    @Test func readsNothingAheadOfRandomReads() {
        #expect(windows([0, 50, 10, 90, 30, 70]).allSatisfy { $0 == 0 })
    }

    @Test func resetsTheWindowAfterAJump() {
        let windows = windows([0, 1, 2, 3, 300, 301])
        #expect(windows[4] == 0)
        #expect(windows[5] == 4)
    }

    @Test func stopsReadaheadAtTheEndOfTheFile() {
        let windows = windows(Array(0..<20), files: [0, 20])
        #expect(windows[19] == 0, "the next file has not been asked for")
        #expect(windows[10] == 9)
    }

    @Test func growsTheWindowAcrossFiles() {
        let windows = windows(Array(0..<100), files: Set(0..<600))
        #expect(windows[1] == 4)
        #expect(windows.max() == 64, "4 MiB across files")
    }

    @Test func tellsTwoReadersApart() {
        let windows = windows((0..<6).flatMap { [$0, 200 + $0] })
        #expect(windows[2] == 4 && windows[3] == 4)
        #expect(windows[10] >= 8 && windows[11] >= 8)
    }

    @Test func toleratesReorderedReads() throws {
        #expect(try #require(windows([0, 1, 3, 2, 4, 6, 5, 8, 7]).last) >= 8)
    }

    @Test func mergesADemandWithItsReadahead() {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 64 * kibibyte, count: 100), files: [0])
        let layer = desk.attach(fake)
        desk.demand(layer, 0..<1)
        for request in desk.newRequests() { desk.carryOut(request, layer, fake) }
        desk.demand(layer, 1..<2)
        let requests = desk.newRequests()
        #expect(requests.map(\.blob) == [ByteRange(offset: 64 * kibibyte, end: 384 * kibibyte)])
        #expect(requests.map(\.fetchClass) == [.demand])
    }

    @Test func fetchesNeighborsWithASmallDemand() {
        var desk = Desk(.guessing)
        let fake = FakeLayer(sizes: Array(repeating: 10 * kibibyte, count: 100), gap: 200)
        fake.setPresent([52])
        let layer = desk.attach(fake)
        let ticket = desk.demand(layer, 50..<51)
        let requests = desk.newRequests()
        #expect(requests.count == 1)
        let taken = requests.flatMap { desk.take($0) }
        #expect(taken == [50, 51] + Array(53...63), "128 KiB behind it, without what is present, nothing before it")
        desk.arrive(layer, fake, [50])
        #expect(desk.completed[ticket] == .available, "and nobody waits for them")
    }

    @Test func fetchesNoNeighborsWithALargeDemand() {
        var desk = Desk(.guessing)
        let layer = desk.attach(FakeLayer(sizes: [mebibyte, kibibyte, kibibyte]))
        desk.demand(layer, 0..<1)
        #expect(desk.newRequests().map(\.blob.count) == [mebibyte])
    }

    /// Returns the number of requests for a reader that opens every third file of some directories, in random order.
    private func requests(_ configuration: PlannerConfiguration) -> Int {
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: 8 * kibibyte, count: 16_000))
        let layer = desk.attach(fake)
        var count = 0
        for turn in 0..<400 {
            // The reader opens 64 files of a directory, then goes to the next directory. Because 37 is coprime with 64,
            // it opens each file once and out of order.
            let position = turn / 64 * 2000 + turn % 64 * 37 % 64 * 3
            if fake.isPresent(position) {
                desk.noteRead(layer, position..<position + 1)
            } else {
                desk.demand(layer, position..<position + 1)
            }
            count += desk.started.count
            while !desk.started.isEmpty { desk.carryOut(desk.started.removeFirst(), layer, fake) }
        }
        return count
    }

    @Test func growsReadAroundWhileItPays() {
        let near = requests(.guessing)
        let none = requests(.plain)
        #expect(near * 4 < none, "\(near) against \(none) requests")
    }

    @Test func shrinksReadAroundWhenItDoesNotPay() {
        var desk = Desk(.guessing)
        let fake = FakeLayer(sizes: Array(repeating: 8 * kibibyte, count: 40_000))
        let layer = desk.attach(fake)
        var sizes: [UInt64] = []
        for turn in 0..<100 {
            let position = turn * 3989 % 39_900
            desk.demand(layer, position..<position + 1)
            for request in desk.newRequests() {
                sizes.append(request.blob.count)
                desk.carryOut(request, layer, fake)
            }
        }
        #expect(sizes.first == 136 * kibibyte)
        #expect(sizes.last == 40 * kibibyte, "down to 32 KiB beside the 8 KiB that were asked for")
    }

    /// The application reads a little of each of many layers.
    @Test func startsANewLayerWithTheSharedSize() {
        var desk = Desk(.guessing)
        var sizes: [UInt64] = []
        for _ in 0..<20 {
            let fake = FakeLayer(sizes: Array(repeating: 8 * kibibyte, count: 100))
            let layer = desk.attach(fake)
            desk.demand(layer, 0..<1)
            for request in desk.newRequests() {
                sizes.append(request.blob.count)
                desk.carryOut(request, layer, fake)
            }
        }
        #expect(sizes.first == 136 * kibibyte)
        #expect(sizes.last == 40 * kibibyte)
    }
}
