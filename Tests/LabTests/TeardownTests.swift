import Base
import Lab
import Testing

struct TeardownTests {
    /// The undone actions, in order.
    private let done = Guarded<[String]>([])

    private func note(_ name: String) -> @Sendable () -> Void {
        { [done] in done.withLock { $0.append(name) } }
    }

    @Test("undoes in reverse order") func undoesInReverseOrder() throws {
        let teardown = Teardown()
        try teardown.add("a", note("a"))
        let part = try teardown.nested("part")
        try part.add("b", note("b"))
        try part.add("c", note("c"))
        try teardown.add("d", note("d"))
        teardown.run()
        #expect(done.withLock { $0 } == ["d", "c", "b", "a"])
        teardown.run()
        #expect(done.withLock { $0.count } == 4)
    }

    @Test("parts can be undone earlier") func partsCanBeUndoneEarlier() throws {
        let teardown = Teardown()
        try teardown.add("a", note("a"))
        let part = try teardown.nested("part")
        try part.add("b", note("b"))
        part.run()
        #expect(done.withLock { $0 } == ["b"])
        teardown.run()
        #expect(done.withLock { $0 } == ["b", "a"])
    }

    @Test("undoes late additions at once") func undoesLateAdditionsAtOnce() throws {
        let teardown = Teardown()
        teardown.run()
        let error = try #require(throws: LabError.self) { try teardown.add("late", note("late")) }
        #expect(error.code == .closing)
        #expect(done.withLock { $0 } == ["late"])
    }
}
