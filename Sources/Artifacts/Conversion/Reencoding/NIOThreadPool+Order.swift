import NIOPosix

extension NIOThreadPool {
    /// Computes `count` values concurrently, and passes them to `use` in order, one at a time. Both closures run on
    /// threads of the pool.
    ///
    /// - Parameters:
    ///   - count: the number of values.
    ///   - atOnce: the maximum number of values that are being computed or wait for `use`.
    ///   - make: computes the value with the given number. The numbers start at 0.
    ///   - use: receives the values.
    func inOrder<Made: Sendable>(
        _ count: Int, atOnce: Int, make: @escaping @Sendable (Int) throws -> Made,
        use: @escaping @Sendable (Made) throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: (Int, Made).self) { group in
            var waiting: [Int: Made] = [:]
            var (started, used) = (0, 0)
            while used < count {
                while started < count, started - used < atOnce {
                    let number = started
                    group.addTask { (number, try await self.runIfActive { try make(number) }) }
                    started += 1
                }
                guard let (number, made) = try await group.next() else { break }
                waiting[number] = made
                while let next = waiting.removeValue(forKey: used) {
                    try await runIfActive { try use(next) }
                    used += 1
                }
            }
        }
    }
}
