import Base
import ContentStore
import Planner
import Testing

@Suite struct DemandTests {
    @Test func sendsOneRequestForManyReaders() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: [10, 20, 30])
        let layer = desk.attach(fake)
        for _ in 0..<64 { desk.demand(layer, 1..<2) }
        let requests = desk.newRequests()
        #expect(requests.map(\.blob) == [ByteRange(offset: 10, end: 30)])
        #expect(desk.planner.statistics.joined == 63)
        let request = try #require(requests.first)
        #expect(desk.carryOut(request, layer, fake) == [1])
        #expect(desk.completed.count == 64)
        #expect(desk.completed.values.allSatisfy { $0 == .available })
        #expect(desk.newRequests().isEmpty)
    }

    @Test func completesPresentDataAtOnce() {
        var desk = Desk()
        let fake = FakeLayer(sizes: [10, 20])
        fake.setPresent([0, 1])
        let layer = desk.attach(fake)
        let ticket = desk.demand(layer, 0..<2)
        #expect(desk.completed[ticket] == .available)
        #expect(desk.newRequests().isEmpty)
    }

    @Test func mergesAdjacentExtentsAndSmallGaps() {
        var configuration = PlannerConfiguration.plain
        configuration.mergeGap = 100
        for (gap, requests) in [(UInt64(0), 1), (100, 1), (101, 3)] {
            var desk = Desk(configuration)
            let layer = desk.attach(FakeLayer(sizes: [1000, 1000, 1000], gap: gap))
            desk.demand(layer, 0..<3)
            #expect(desk.newRequests().count == requests, "gap \(gap)")
        }
    }

    @Test func splitsAtLargePresentExtents() {
        for (size, ranges) in [
            (kibibyte, [ByteRange(offset: 0, end: 3 * kibibyte)]),
            (mebibyte, [ByteRange(offset: 0, end: mebibyte), ByteRange(offset: 2 * mebibyte, end: 3 * mebibyte)]),
        ] {
            var desk = Desk()
            let fake = FakeLayer(sizes: [size, size, size])
            fake.setPresent([1])
            let layer = desk.attach(fake)
            desk.demand(layer, 0..<3)
            let requests = desk.newRequests()
            #expect(requests.map(\.blob) == ranges)
            let taken = requests.flatMap { desk.take($0) }
            #expect(taken == [0, 2], "the one that is present is not decoded again")
        }
    }

    @Test func completesWithTheLastExtent() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 100, count: 4))
        let layer = desk.attach(fake)
        let wide = desk.demand(layer, 0..<4)
        let request = try #require(desk.newRequests().first)
        #expect(desk.take(request, 2) == [0, 1])
        let narrow = desk.demand(layer, 0..<1)
        #expect(desk.expedited == [0], "an extent that is being decoded is decoded next")
        desk.arrive(layer, fake, [0])
        #expect(desk.completed[narrow] == .available)
        #expect(desk.completed[wide] == nil)
        #expect(desk.take(request) == [2, 3])
        desk.arrive(layer, fake, [3, 1, 2])
        #expect(desk.completed[wide] == .available, "in any order")
        desk.end(request)
        #expect(desk.newRequests().isEmpty)
    }

    @Test func queuesDemandsInOrder() throws {
        var configuration = PlannerConfiguration.plain
        configuration.requestLimit.demand = 2
        configuration.mergeGap = 0
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: 100, count: 5), gap: 1)
        let layer = desk.attach(fake)
        for extent in [4, 2, 0, 3] { desk.demand(layer, extent..<extent + 1) }
        let first = desk.newRequests()
        #expect(first.map(\.blob.offset) == [404, 202])
        desk.carryOut(try #require(first.last), layer, fake)
        #expect(desk.newRequests().map(\.blob.offset) == [0])
    }

    @Test func boundsBytesInFlight() throws {
        var configuration = PlannerConfiguration.plain
        configuration.byteLimit.demand = 3 * mebibyte
        configuration.mergeGap = 0
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: Array(repeating: 2 * mebibyte, count: 4), gap: 1)
        let layer = desk.attach(fake)
        for extent in [0, 2, 1, 3] { desk.demand(layer, extent..<extent + 1) }
        let first = desk.newRequests()
        #expect(first.count == 2, "the second one goes over the limit, and the third has to wait")
        desk.carryOut(try #require(first.first), layer, fake)
        #expect(desk.newRequests().count == 1)
    }

    @Test func startsDemandWhileBackgroundIsFull() {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 8 * mebibyte, count: 64))
        let layer = desk.attach(fake)
        desk.prefetch(layer, 0..<64)
        #expect(desk.newRequests().map(\.fetchClass) == [.hint], "the next batch waits for this one")
        desk.demand(layer, 40..<41)
        #expect(desk.newRequests().map(\.fetchClass) == [.demand])
    }

    @Test func completesACancelledDemandAndKeepsItsBytes() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: [100, 100])
        let layer = desk.attach(fake)
        let first = desk.demand(layer, 0..<1)
        let request = try #require(desk.newRequests().first)
        desk.cancel(first)
        #expect(desk.completed[first] == .cancelled)
        let second = desk.demand(layer, 0..<1)
        #expect(desk.newRequests().isEmpty, "joins what is still under way")
        desk.carryOut(request, layer, fake)
        #expect(desk.completed[second] == .available)
        desk.cancel(second)
        #expect(desk.completed[second] == .available, "cancelling what is done changes nothing")
    }

    @Test func neverRequestsACancelledDemand() throws {
        var configuration = PlannerConfiguration.plain
        configuration.requestLimit.demand = 1
        configuration.mergeGap = 0
        var desk = Desk(configuration)
        let fake = FakeLayer(sizes: [100, 100, 100], gap: 1)
        let layer = desk.attach(fake)
        desk.demand(layer, 0..<1)
        let waiting = desk.demand(layer, 2..<3)
        let request = try #require(desk.newRequests().first)
        desk.cancel(waiting)
        desk.carryOut(request, layer, fake)
        #expect(desk.newRequests().isEmpty)
    }

    @Test func failsUnknownLayersAndExtents() {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [1]))
        let tickets = [
            desk.demand(layer, 0..<2), desk.demand(layer, 5..<6), desk.demand(LayerID(value: 99), 0..<1),
        ]
        for ticket in tickets {
            #expect(desk.completed[ticket] == .failed(reason: "not an extent of a layer that is attached"))
        }
        #expect(desk.newRequests().isEmpty)
    }

    @Test func failsDemandsOfADetachedLayer() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100, 100]))
        let ticket = desk.demand(layer, 0..<2)
        let request = try #require(desk.newRequests().first)
        #expect(desk.take(request, 1) == [0])
        desk.apply(desk.planner.detach(layer, now: desk.now))
        #expect(desk.completed[ticket] == .failed(reason: "the layer is no longer in use"))
        #expect(desk.nextStep(of: request) == .end)
        desk.end(request)
        desk.done(layer, 0, .available)
        #expect(desk.newRequests().isEmpty)
    }

    @Test func failsDemandsAfterStop() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100, 100]))
        let before = desk.demand(layer, 0..<1)
        let request = try #require(desk.newRequests().first)
        desk.apply(desk.planner.stop(reason: "over", now: desk.now))
        let after = desk.demand(layer, 1..<2)
        #expect(desk.completed[before] == .failed(reason: "over"))
        #expect(desk.completed[after] == .failed(reason: "over"))
        #expect(desk.nextStep(of: request) == .end)
        #expect(desk.newRequests().isEmpty)
    }
}
