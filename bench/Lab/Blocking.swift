import Linux

/// Runs `body`, which may block, on a thread of its own, and gives its result without holding up the cooperative pool.
/// When the system has no thread to give, it runs on the caller's.
public func blocking<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        do {
            _ = try NamedThread(name: "lab") { continuation.resume(returning: body()) }
        } catch {
            continuation.resume(returning: body())
        }
    }
}

/// As ``blocking(_:)``, for work that can fail.
public func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let result: Result<Value, any Error> = await blocking { Result { try body() } }
    return try result.get()
}
