import Glibc

/// Waits until `condition` holds and returns whether it did.
///
/// A test never sleeps: it waits for a condition with this. The limit only bounds a failing test, so it is generous.
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

/// Waits until `condition` holds and returns whether it did, as ``eventually(within:isolation:_:)`` does, but blocks
/// the thread: for tests that are not asynchronous.
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

/// Between two looks: conditions that run a program must not take the machine.
private let longestPause = Duration.milliseconds(50)
