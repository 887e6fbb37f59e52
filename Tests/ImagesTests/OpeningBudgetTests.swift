import Base
import Images
import TestSupport
import Testing

/// The order in which the memory for opening images is granted.
@Suite struct OpeningBudgetTests {
    /// Lines on the heap, for changes within an expectation.
    private final class Lines {
        private var lines: OpeningMemoryLines

        init(total: UInt64) { lines = OpeningMemoryLines(total: total) }

        func ceiling(of purpose: OpeningMemoryLines.Purpose) -> UInt64 { lines.ceiling(of: purpose) }

        func request(_ amount: UInt64, for purpose: OpeningMemoryLines.Purpose, ticket: UInt64) -> Bool {
            lines.request(amount, for: purpose, ticket: ticket)
        }

        func release(_ amount: UInt64, of purpose: OpeningMemoryLines.Purpose) -> [UInt64] {
            lines.release(amount, of: purpose)
        }

        func cancel(
            _ ticket: UInt64, for purpose: OpeningMemoryLines.Purpose
        ) -> (wasWaiting: Bool, granted: [UInt64]) { lines.cancel(ticket, for: purpose) }
    }

    @Test("grants memory in order of arrival") func grantsInOrder() {
        let lines = Lines(total: 100)
        #expect(lines.request(40, for: .building, ticket: 1))
        #expect(!lines.request(20, for: .building, ticket: 2), "building has half of it")
        #expect(!lines.request(5, for: .building, ticket: 3), "a small one does not overtake")
        #expect(lines.release(40, of: .building) == [2, 3])
        #expect(lines.release(20, of: .building) == [])
    }

    @Test("leaves a quarter for merging, whatever is read and built") func leavesRoomForMerging() {
        let lines = Lines(total: 100)
        #expect(lines.request(25, for: .reading, ticket: 1))
        #expect(lines.request(50, for: .building, ticket: 2))
        #expect(!lines.request(1, for: .reading, ticket: 3))
        #expect(!lines.request(1, for: .building, ticket: 4))
        #expect(lines.request(25, for: .merging, ticket: 5))
        #expect(lines.release(25, of: .merging) == [], "the others stay within their shares")
        #expect(lines.release(25, of: .reading) == [3])
    }

    @Test("lets nothing overtake a large merge") func holdsRoomForMerge() {
        let lines = Lines(total: 100)
        #expect(lines.request(50, for: .building, ticket: 1))
        #expect(!lines.request(90, for: .merging, ticket: 2))
        #expect(!lines.request(20, for: .reading, ticket: 3), "it would delay the merge")
        #expect(lines.request(5, for: .reading, ticket: 4) == false, "the line stays in order")
        #expect(lines.release(50, of: .building) == [2])
        #expect(lines.release(90, of: .merging) == [3, 4])
    }

    @Test("goes on after a request that gives up") func cancels() {
        let lines = Lines(total: 100)
        #expect(lines.request(30, for: .building, ticket: 1))
        #expect(!lines.request(50, for: .building, ticket: 2))
        #expect(!lines.request(10, for: .building, ticket: 3))
        let cancelled = lines.cancel(2, for: .building)
        #expect(cancelled.wasWaiting && cancelled.granted == [3])
        #expect(!lines.cancel(2, for: .building).wasWaiting)
        #expect(!lines.cancel(1, for: .building).wasWaiting, "it has its memory")
    }

    /// Random requests: no share is exceeded, nothing is lost, and everything is granted in the end.
    @Test("keeps its promises for random requests", arguments: 0..<20) func random(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let lines = Lines(total: 1000)
        var held: [UInt64: (amount: UInt64, purpose: OpeningMemoryLines.Purpose)] = [:]
        var waiting: [UInt64: (amount: UInt64, purpose: OpeningMemoryLines.Purpose)] = [:]
        func used(_ purpose: OpeningMemoryLines.Purpose) -> UInt64 {
            held.values.filter { $0.purpose == purpose }.reduce(0) { $0 + $1.amount }
        }
        func grant(_ tickets: [UInt64]) {
            for ticket in tickets { held[ticket] = waiting.removeValue(forKey: ticket) }
        }
        for ticket in 0..<400 as Range<UInt64> {
            let purpose = OpeningMemoryLines.Purpose.allCases.randomElement(using: &random) ?? .building
            let amount = UInt64.random(in: 1...lines.ceiling(of: purpose), using: &random)
            waiting[ticket] = (amount, purpose)
            if lines.request(amount, for: purpose, ticket: ticket) { grant([ticket]) }
            if Bool.random(using: &random), let (done, value) = held.min(by: { $0.key < $1.key }) {
                held[done] = nil
                grant(lines.release(value.amount, of: value.purpose))
            }
            for purpose in OpeningMemoryLines.Purpose.allCases { #expect(used(purpose) <= lines.ceiling(of: purpose)) }
            #expect(held.values.reduce(0) { $0 + $1.amount } <= 1000)
        }
        while let (done, value) = held.min(by: { $0.key < $1.key }) {
            held[done] = nil
            grant(lines.release(value.amount, of: value.purpose))
        }
        #expect(waiting.isEmpty)
    }
}
