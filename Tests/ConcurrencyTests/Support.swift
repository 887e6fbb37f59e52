import Testing

/// Yields to other tasks until `condition` holds. The tasks that make it hold must already be running.
func turn(until condition: () -> Bool) async throws {
    for _ in 0..<1_000_000 where !condition() { await Task.yield() }
    try #require(condition())
}
