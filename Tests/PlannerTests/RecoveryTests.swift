import Base
import ContentStore
import Planner
import Testing

/// Tests of recoveries: reads of a whole blob for extents that requests cannot bring.
@Suite struct RecoveryTests {
    private let gone = RequestFailure(.permanent, reason: "404")

    @Test("recovers a layer once for all readers, and completes them as their extents arrive")
    func completesReadersInOrder() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: [100, 100, 100], gap: 1 << 30)
        let layer = desk.attach(fake)
        let tickets = [desk.demand(layer, 0..<1), desk.demand(layer, 2..<3)]
        for request in desk.newRequests() { desk.end(request, gone) }
        #expect(desk.newRecoveries() == [layer])
        #expect(desk.completed.isEmpty)
        fake.setPresent([0, 1])
        desk.recovered(layer, 0, .available)
        desk.recovered(layer, 1, .available)
        #expect(desk.completed == [tickets[0]: .available])
        // A later reader first tries its own request.
        let late = desk.demand(layer, 2..<3)
        #expect(desk.newRequests().isEmpty, "its extent waits already")
        fake.setPresent([2])
        desk.recovered(layer, 2, .available)
        desk.endRecovery(layer)
        #expect(desk.completed[tickets[1]] == .available && desk.completed[late] == .available)
        #expect(desk.planner.statistics.recoveries == 1)
    }

    @Test("a reader that fails during a recovery joins it")
    func joinsRunningRecovery() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: [100, 100], gap: 1 << 30)
        let layer = desk.attach(fake)
        desk.demand(layer, 0..<1)
        desk.end(try #require(desk.newRequests().first), gone)
        let late = desk.demand(layer, 1..<2)
        desk.end(try #require(desk.newRequests().first), gone)
        #expect(desk.newRecoveries() == [layer])
        // Its bytes may have passed before it came.
        desk.endRecovery(layer)
        #expect(desk.completed[late] == nil)
        for request in desk.newRequests() { desk.end(request, gone) }
        #expect(desk.newRecoveries() == [layer])
        desk.endRecovery(layer)
        #expect(desk.completed[late] == .failed(reason: "the layer's blob lacks the bytes of extent 1"))
    }

    @Test("a failed recovery is not repeated before a growing pause has passed")
    func pausesAfterFailure() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100]))
        func fail(_ desk: inout Desk) throws -> ChunkOutcome? {
            let ticket = desk.demand(layer, 0..<1)
            desk.end(try #require(desk.newRequests().first), gone)
            return desk.completed[ticket]
        }
        for pause in [60, 120, 240] as [UInt64] {
            #expect(try fail(&desk) == nil)
            #expect(desk.newRecoveries() == [layer])
            desk.endRecovery(layer, "not found")
            #expect(try fail(&desk) == .failed(reason: "404"))
            desk.pass((pause - 1) * second)
            #expect(try fail(&desk) == .failed(reason: "404"))
            #expect(desk.newRecoveries().isEmpty)
            desk.pass(1 * second)
        }
    }

    @Test("on a full disk, the readers of an extent are served from memory") func servesReadersOnFullDisk() throws {
        var desk = Desk()
        let fake = FakeLayer(sizes: [100, 100], gap: 1 << 30)
        let layer = desk.attach(fake)
        let tickets = [desk.demand(layer, 0..<1), desk.demand(layer, 1..<2)]
        for request in desk.newRequests() { desk.end(request, gone) }
        desk.recovered(layer, 0, .unstorable(reason: "full"))
        #expect(desk.completed == [tickets[0]: .available])
        fake.setPresent([1])
        desk.recovered(layer, 1, .available)
        desk.endRecovery(layer)
        #expect(desk.completed[tickets[1]] == .available)
        #expect(desk.newRecoveries() == [layer])
        // The bytes may no longer be in memory.
        desk.demand(layer, 0..<1)
        desk.end(try #require(desk.newRequests().first), gone)
        #expect(desk.newRecoveries() == [layer])
    }

    @Test("unusable answers cause a recovery after the last retry, and an unreachable registry causes none")
    func recoversOnlyFromAnswers() throws {
        for (kind, isRecovered) in [(RequestFailure.Kind.unusable, true), (.retryable, false)] {
            var desk = Desk()
            let layer = desk.attach(FakeLayer(sizes: [100]))
            desk.demand(layer, 0..<1)
            for _ in 0..<3 {
                #expect(desk.newRecoveries().isEmpty)
                desk.end(try #require(desk.newRequests().first), RequestFailure(kind, reason: "r"))
                desk.pass(10 * second)
            }
            #expect(desk.newRecoveries() == (isRecovered ? [layer] : []))
        }
    }

    @Test("wrong bytes cause a recovery") func recoversFromWrongBytes() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100]))
        desk.demand(layer, 0..<1)
        for _ in 0..<2 {
            let request = try #require(desk.newRequests().first)
            #expect(desk.take(request) == [0])
            desk.end(request)
            desk.done(layer, 0, .corrupt(reason: "digest"))
        }
        #expect(desk.newRecoveries() == [layer])
    }

    @Test("a start hint causes a recovery, and fill causes none") func recoversForHints() throws {
        var desk = Desk()
        let layer = desk.attach(FakeLayer(sizes: [100]))
        desk.fill(layer)
        desk.end(try #require(desk.newRequests().first), gone)
        #expect(desk.newRecoveries().isEmpty)
        desk.prefetch(layer, 0..<1)
        desk.end(try #require(desk.newRequests().first), gone)
        #expect(desk.newRecoveries() == [layer])
    }

    @Test("a recovery ends quietly after its layer was detached or the planner stopped")
    func endsAfterDetach() throws {
        for stops in [false, true] {
            var desk = Desk()
            let layer = desk.attach(FakeLayer(sizes: [100]))
            let ticket = desk.demand(layer, 0..<1)
            desk.end(try #require(desk.newRequests().first), gone)
            desk.apply(
                stops
                    ? desk.planner.stop(reason: "over", now: desk.now) : desk.planner.detach(layer, now: desk.now))
            #expect(desk.completed[ticket]?.isFailure == true)
            desk.recovered(layer, 0, .available)
            desk.endRecovery(layer, "cancelled")
            #expect(desk.completed.count == 1 && desk.newRequests().isEmpty)
        }
    }
}

extension ChunkOutcome {
    fileprivate var isFailure: Bool {
        if case .failed = self { true } else { false }
    }
}
