import Base
import ContentStore
import Planner
import Testing

@Suite struct FailureTests {
    private let broken = RequestFailure(.retryable, reason: "connection reset")

    @Test func retriesWithGrowingPausesThenFails() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100]))
        let ticket = desk.demand(layer, 0..<1)
        for (attempt, pause) in [(0, 200 * millisecond), (1, 400 * millisecond)] {
            let requests = desk.newRequests()
            #expect(requests.map(\.attempt) == [attempt])
            desk.end(try #require(requests.first), broken)
            #expect(desk.completed[ticket] == nil)
            #expect(desk.planner.wakeTime == desk.now.advanced(by: pause))
            desk.pass(pause - 1)
            #expect(desk.started.isEmpty)
            desk.pass(1)
        }
        desk.end(try #require(desk.newRequests().first), broken)
        #expect(desk.completed[ticket] == .failed(reason: "connection reset"))
        let again = desk.demand(layer, 0..<1)
        #expect(desk.newRequests().map(\.attempt) == [0], "a later read tries again")
        #expect(desk.completed[again] == nil)
    }

    @Test func retriesOnlyMissingExtents() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: Array(repeating: 100, count: 5))
        let layer = desk.attach(fake)
        let ticket = desk.demand(layer, 0..<5)
        let request = try #require(desk.newRequests().first)
        #expect(desk.take(request, 3) == [0, 1, 2])
        desk.arrive(layer, fake, [0])
        desk.end(request, broken)
        desk.arrive(layer, fake, [1])
        desk.pass(1 * second)
        let next = try #require(desk.newRequests().first)
        #expect(next.blob == ByteRange(offset: 200, end: 500), "2 was taken but had not arrived")
        desk.carryOut(next, layer, fake)
        #expect(desk.completed[ticket] == .available)
    }

    @Test func doesNotRetryPermanentFailures() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100]))
        let ticket = desk.demand(layer, 0..<1)
        desk.end(try #require(desk.newRequests().first), RequestFailure(.permanent, reason: "404"))
        desk.endRecovery(layer, "404")
        #expect(desk.completed[ticket] == .failed(reason: "404"))
        desk.pass(100 * second)
        #expect(desk.newRequests().isEmpty)
    }

    @Test func honorsRetryAfterForDemand() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100]))
        desk.demand(layer, 0..<1)
        let request = try #require(desk.newRequests().first)
        desk.end(request, RequestFailure(.throttled(retryAfter: 3 * second), reason: "429"))
        desk.pass(2 * second)
        #expect(desk.newRequests().isEmpty)
        desk.pass(1 * second)
        #expect(desk.newRequests().count == 1)
    }

    @Test func givesAReaderItsOwnRequestWhenTheBackgroundFails() throws {
        for kind in [RequestFailure.Kind.retryable, .throttled(retryAfter: 1000 * second), .permanent] {
            var desk = Desk()
            let fake = FakeLayer(sizes: [100])
            let layer = desk.attach(fake)
            desk.fill(layer)
            let fill = try #require(desk.newRequests().first)
            let ticket = desk.demand(layer, 0..<1)
            desk.end(fill, RequestFailure(kind, reason: "not you"))
            #expect(desk.completed[ticket] == nil)
            let demand = desk.newRequests()
            #expect(demand.map(\.fetchClass) == [.demand])
            desk.carryOut(try #require(demand.first), layer, fake)
            #expect(desk.completed[ticket] == .available)
        }
    }

    @Test func failsDemandsAtTheirDeadline() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: [100])
        let layer = desk.attach(fake)
        let ticket = desk.demand(layer, 0..<1)
        let request = try #require(desk.newRequests().first)
        desk.pass(15 * second)
        let later = desk.demand(layer, 0..<1)
        #expect(desk.planner.wakeTime == desk.now.advanced(by: 15 * second))
        desk.pass(15 * second)
        #expect(desk.completed[ticket] == .failed(reason: "nothing arrived within 30 s"))
        #expect(desk.completed[later] == nil)
        desk.carryOut(request, layer, fake)
        #expect(desk.completed[later] == .available, "its bytes still land, for others")
    }

    /// The kernel retries a failed read piece by piece. Those demands must not each wait for the whole outage.
    @Test func shortensWaitsInAnOutage() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: [100, 100])
        let layer = desk.attach(fake)
        let first = desk.demand(layer, 0..<1)
        let request = try #require(desk.newRequests().first)
        desk.pass(30 * second)
        #expect(desk.completed[first] == .failed(reason: "nothing arrived within 30 s"))
        let second = desk.demand(layer, 0..<1)
        desk.pass(2 * 1_000_000_000)
        #expect(desk.completed[second] == .failed(reason: "nothing arrived within 2 s"))
        // As soon as an extent arrives again, readers may wait as long as before.
        desk.carryOut(request, layer, fake)
        let third = desk.demand(layer, 1..<2)
        desk.pass(2 * 1_000_000_000)
        #expect(desk.completed[third] == nil)
    }

    @Test("fails a demand made in an outage before an older demand with a longer deadline")
    func failsOutageDemandsFirst() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100, 100, 100]))
        let first = desk.demand(layer, 0..<1)
        desk.pass(20 * second)
        let older = desk.demand(layer, 1..<2)
        desk.pass(10 * second)
        #expect(desk.completed[first] == .failed(reason: "nothing arrived within 30 s"))
        let late = desk.demand(layer, 2..<3)
        #expect(desk.planner.wakeTime == desk.now.advanced(by: 2 * second))
        desk.pass(2 * second)
        #expect(desk.completed[late] == .failed(reason: "nothing arrived within 2 s"))
        #expect(desk.completed[older] == nil)
        desk.pass(18 * second)
        #expect(desk.completed[older] == .failed(reason: "nothing arrived within 30 s"))
    }

    @Test func refetchesWrongBytesOnceThenFails() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100, 100]))
        let ticket = desk.demand(layer, 0..<1)
        for _ in 0..<2 {
            let requests = desk.newRequests()
            #expect(requests.count == 1)
            #expect(desk.completed[ticket] == nil)
            let request = try #require(requests.first)
            #expect(desk.take(request) == [0])
            desk.end(request)
            desk.done(layer, 0, .corrupt(reason: "digest"))
        }
        desk.endRecovery(layer, "digest")
        #expect(desk.completed[ticket] == .failed(reason: "digest"))
        #expect(desk.newRequests().isEmpty)
        #expect(desk.planner.statistics.corrupt == 2)
    }

    @Test func doesNotRetryWrongBytesInTheBackground() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: [100, 100, 100])
        let layer = desk.attach(fake)
        desk.fill(layer)
        let request = try #require(desk.newRequests().first)
        #expect(desk.take(request) == [0, 1, 2])
        desk.arrive(layer, fake, [0, 2])
        desk.done(layer, 1, .corrupt(reason: "digest"))
        desk.end(request)
        #expect(desk.newRequests().isEmpty)
        #expect(!desk.planner.isFilling(layer))
        desk.demand(layer, 1..<2)
        let demand = desk.newRequests()
        #expect(demand.count == 1, "a reader may still try")
        desk.carryOut(try #require(demand.first), layer, fake)
        #expect(fake.missing == 0)
    }

    @Test func retriesFillWithGrowingPauses() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: [100, 100])
        let layer = desk.attach(fake)
        desk.fill(layer)
        var pauses: [UInt64] = []
        for _ in 0..<14 {
            desk.end(try #require(desk.newRequests().first), broken)
            let wake = try #require(desk.planner.wakeTime)
            pauses.append(wake.since(desk.now) / millisecond)
            desk.pass(wake.since(desk.now))
        }
        #expect(pauses.prefix(4) == [200, 400, 800, 1600])
        #expect(pauses.last == 300_000)
        desk.carryOut(try #require(desk.newRequests().first), layer, fake)
        #expect(fake.missing == 0)
        #expect(!desk.planner.isFilling(layer))
    }

    @Test func triesHintsThreeTimes() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100, 100]))
        desk.prefetch(layer, 0..<2)
        for _ in 0..<3 {
            desk.end(try #require(desk.newRequests().first), broken)
            desk.pass(10 * second)
        }
        #expect(desk.newRequests().isEmpty)
    }
}
