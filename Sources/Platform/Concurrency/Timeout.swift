/// The failure of work that exceeded its limit.
public struct TimeoutError: Error, Hashable, CustomStringConvertible {
    public let limit: Duration

    public init(limit: Duration) {
        self.limit = limit
    }

    public var description: String { "timed out after \(limit)" }
}

/// Returns what `body` returns, within `limit`.
///
/// After the limit, or when the caller is cancelled, the task of `body` is cancelled but not waited for: a body that
/// ignores its cancellation does not hold up the caller.
///
/// - Throws: what `body` throws; ``TimeoutError`` after `limit`; `CancellationError` as soon as the caller is
///   cancelled.
public func withTimeout<Value: Sendable>(
    _ limit: Duration, clock: any TimeSource = .system, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let result = OneShot<Result<Value, any Error>>()
    let work = Task {
        do {
            result.fulfill(.success(try await body()))
        } catch {
            result.fulfill(.failure(error))
        }
    }
    defer { work.cancel() }
    switch await result.wait(atMost: limit, clock: clock) {
    case .value(let result): return try result.get()
    case .timedOut: throw TimeoutError(limit: limit)
    case .cancelled: throw CancellationError()
    }
}
