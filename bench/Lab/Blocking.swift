import Linux

/// Runs `body`, which may block, on its own thread, and returns its result without blocking the cooperative pool.
///
/// If the system has no free thread, `body` runs on the caller's thread.
public func blocking<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        do {
            _ = try NamedThread(name: "lab") { continuation.resume(returning: body()) }
        } catch {
            continuation.resume(returning: body())
        }
    }
}

/// Runs a throwing `body` like ``blocking(_:)``.
public func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let result: Result<Value, any Error> = await blocking { Result { try body() } }
    return try result.get()
}
