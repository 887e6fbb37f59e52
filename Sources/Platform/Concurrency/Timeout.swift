/// The error of work that exceeded its time limit.
public struct TimeoutError: Error, Hashable, CustomStringConvertible {
    public let limit: Duration

    public init(limit: Duration) {
        self.limit = limit
    }

    public var description: String { "timed out after \(limit)" }
}

/// Runs `body` and returns its result, but waits no longer than `limit`.
///
/// After the limit, or when the caller is canceled, this function cancels the task of `body` and returns at once. So a
/// `body` that ignores its cancellation does not delay the caller.
///
/// - Throws: the error of `body`; ``TimeoutError`` after `limit`; `CancellationError` as soon as the caller is
///   canceled.
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
