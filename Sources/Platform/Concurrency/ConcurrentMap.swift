extension Collection where Element: Sendable {
    /// Returns the results of `transform` in the order of the elements. At most `limit` calls run at the same time. A
    /// limit below 1 counts as 1.
    ///
    /// The first failure cancels the running calls, and no further calls start. This function throws that failure after
    /// the running calls have ended.
    public func concurrentMap<Output: Sendable, Failure: Error>(
        limit: Int, _ transform: @escaping @Sendable (Element) async throws(Failure) -> Output
    ) async throws(Failure) -> [Output] {
        let outcome = await withTaskGroup(
            of: (Int, Result<Output, Failure>).self, returning: Result<[Output], Failure>.self
        ) { group in
            var outputs = [Output?](repeating: nil, count: count)
            var failure: Failure?
            var remaining = enumerated().makeIterator()
            func startNext() {
                guard failure == nil, let (number, element) = remaining.next() else { return }
                group.addTask {
                    do throws(Failure) {
                        return (number, .success(try await transform(element)))
                    } catch {
                        return (number, .failure(error))
                    }
                }
            }
            for _ in 0..<Swift.min(Swift.max(1, limit), count) { startNext() }
            while let (number, result) = await group.next() {
                switch result {
                case .success(let output): outputs[number] = output
                case .failure(let error):
                    if failure == nil { failure = error }
                    group.cancelAll()
                }
                startNext()
            }
            if let failure { return .failure(failure) }
            return .success(outputs.compactMap { $0 })
        }
        return try outcome.get()
    }
}
