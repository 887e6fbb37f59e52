import Testing

/// Gives other tasks their turn until `condition` holds; those that make it hold are already running.
func turn(until condition: () -> Bool) async throws {
    for _ in 0..<1_000_000 where !condition() { await Task.yield() }
    try #require(condition())
}
