import Glibc

/// Waits until `condition` holds, and returns whether it did within `limit`.
///
/// A test never sleeps: it waits for a condition with this function. The limit only matters in a failing test, so it is
/// generous.
public func eventually(
    within limit: Duration = .seconds(30), isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async rethrows -> Bool {
    let end = ContinuousClock.now + limit
    var pause = Duration.milliseconds(1)
    while true {
        if try await condition() { return true }
        guard ContinuousClock.now < end, !Task.isCancelled else { return false }
        try? await Task.sleep(for: pause)
        pause = min(pause * 2, longestPause)
    }
}

/// Waits until `condition` holds, and returns whether it did, like ``eventually(within:isolation:_:)``. It blocks the
/// thread, for tests that are not asynchronous.
public func blockUntil(within limit: Duration = .seconds(30), _ condition: () throws -> Bool) rethrows -> Bool {
    let end = ContinuousClock.now + limit
    var microseconds: UInt32 = 1000
    while true {
        if try condition() { return true }
        guard ContinuousClock.now < end else { return false }
        usleep(microseconds)
        microseconds = min(2 * microseconds, 50_000)
    }
}

/// The longest pause between two checks. Checks that run a program must not use up the CPU.
private let longestPause = Duration.milliseconds(50)
