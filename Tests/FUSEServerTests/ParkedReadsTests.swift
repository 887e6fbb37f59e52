import ContentStore
import FUSEServer
import Testing

/// Tests of the rules for waiting reads, event by event, without a lock, a request or a thread.
@Suite struct ParkedReadsTests {
    @Test("returns a completed read once") func returnsCompletedReadOnce() throws {
        let parked = Rules()
        let id = try #require(parked.open())
        #expect(parked.wait(id, "read", attempt: 1) == .waiting)
        #expect(parked.demanded(id, DemandID(value: 7), attempt: 1))
        #expect(parked.complete(id, attempt: 1) == "read")
        #expect(parked.complete(id, attempt: 1) == nil)
        #expect(parked.take(id)?.read == nil)
        #expect(parked.count == 1)
        parked.close(id)
        #expect(parked.count == 0)
    }

    @Test("returns the read and demand of a dead reader") func returnsReadAndDemandOfDeadReader() throws {
        let parked = Rules()
        let id = try #require(parked.open())
        _ = parked.wait(id, "read", attempt: 1)
        _ = parked.demanded(id, DemandID(value: 7), attempt: 1)
        let taken = try #require(parked.take(id))
        #expect(taken.read == "read" && taken.demand == DemandID(value: 7))
        #expect(parked.complete(id, attempt: 1) == nil)
        parked.close(id)
        #expect(parked.take(id)?.read == nil)
    }

    @Test("an interrupted read keeps waiting and is watched") func interruptedReadKeepsWaitingAndIsWatched() throws {
        let parked = Rules()
        let id = try #require(parked.open())
        _ = parked.wait(id, "read", attempt: 1)
        #expect(parked.interrupt(id), "the first one begins the watch")
        #expect(!parked.interrupt(id), "there is one already")
        #expect(parked.interrupted() == ["read"])
        #expect(parked.complete(id, attempt: 1) == "read")
        #expect(parked.interrupted() == [], "in somebody's hand")
        parked.close(id)
        #expect(parked.interrupted() == nil)
        let next = try #require(parked.open())
        #expect(parked.interrupt(next), "the watch has ended: a new one begins")
        #expect(!parked.interrupt(id), "a read that is answered is of no concern")
    }

    @Test("keeps an interrupt of a taken read") func keepsInterruptOfTakenRead() throws {
        let parked = Rules()
        let id = try #require(parked.open())
        #expect(parked.interrupt(id))
        #expect(parked.wait(id, "first", attempt: 1) == .waiting)
        #expect(parked.interrupted() == ["first"])
        #expect(parked.complete(id, attempt: 1) == "first")
        #expect(parked.wait(id, "second", attempt: 2) == .waiting)
        #expect(parked.interrupted() == ["second"])
    }

    @Test("a death before the demand is known leaves cancellation to the caller")
    func deathBeforeDemandIsKnownLeavesCancellationToCaller() throws {
        let parked = Rules()
        let id = try #require(parked.open())
        _ = parked.wait(id, "read", attempt: 1)
        #expect(try #require(parked.take(id)).demand == nil)
        parked.close(id)
        #expect(!parked.demanded(id, DemandID(value: 7), attempt: 1))
    }

    @Test("an early completion does not confuse attempts") func earlyCompletionDoesNotConfuseAttempts() throws {
        let parked = Rules()
        let id = try #require(parked.open())
        _ = parked.wait(id, "first", attempt: 1)
        #expect(parked.complete(id, attempt: 1) == "first")
        #expect(parked.wait(id, "second", attempt: 2) == .waiting)
        #expect(parked.demanded(id, DemandID(value: 8), attempt: 2))
        // The `demand` call of the first attempt returns only now.
        #expect(!parked.demanded(id, DemandID(value: 7), attempt: 1))
        #expect(parked.complete(id, attempt: 1) == nil)
        #expect(try #require(parked.take(id)).demand == DemandID(value: 8))
    }

    @Test("stopping takes waiting reads and admits none") func stoppingTakesWaitingReadsAndAdmitsNone() throws {
        let parked = Rules()
        let waiting = try #require(parked.open())
        let inHand = try #require(parked.open())
        _ = parked.wait(waiting, "waiting", attempt: 1)
        _ = parked.wait(inHand, "in hand", attempt: 1)
        #expect(parked.complete(inHand, attempt: 1) == "in hand")
        let taken = parked.stop()
        #expect(taken.map(\.read) == ["waiting"])
        #expect(parked.wait(inHand, "in hand", attempt: 2) == .stopping)
        #expect(parked.open() == nil)
        parked.close(waiting)
        #expect(parked.count == 1)
        parked.close(inHand)
        #expect(parked.count == 0)
    }
}

/// A reference to the rules, because the test macros cannot call mutating methods.
private final class Rules {
    private var reads = ParkedReads<String>()

    var count: Int { reads.count }
    func open() -> UInt64? { reads.open() }
    func wait(_ id: UInt64, _ read: String, attempt: Int) -> ParkedReads<String>.Admission {
        reads.wait(id, for: read, attempt: attempt)
    }
    func demanded(_ id: UInt64, _ demand: DemandID, attempt: Int) -> Bool {
        reads.demanded(id, as: demand, attempt: attempt)
    }
    func complete(_ id: UInt64, attempt: Int) -> String? { reads.complete(id, attempt: attempt) }
    func interrupt(_ id: UInt64) -> Bool { reads.interrupt(id) }
    func interrupted() -> [String]? { reads.interrupted()?.map(\.read) }
    func take(_ id: UInt64) -> (read: String, demand: DemandID?)? { reads.take(id) }
    func close(_ id: UInt64) { reads.close(id) }
    func stop() -> [(id: UInt64, read: String, demand: DemandID?)] { reads.stop() }
}
