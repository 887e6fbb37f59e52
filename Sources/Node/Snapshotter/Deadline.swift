import Concurrency
import GRPCCore

/// Returns what `body` returns, within `limit`.
///
/// containerd sets no deadlines, and holds a lock over some calls: an answer must come. After the limit, and when the
/// RPC is cancelled, the task of `body` is cancelled but not waited for; a transaction that has begun is carried
/// through.
///
/// - Throws: ``SnapshotterError/Code/deadlineExceeded`` after `limit`, ``SnapshotterError/Code/cancelled`` as soon as
///   the RPC that this runs in is cancelled.
func bounded<Value: Sendable>(
    _ limit: Duration, clock: any TimeSource, call: String, _ body: @escaping @Sendable () async throws -> Value
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
    return try await withRPCCancellationHandler {
        switch await result.wait(atMost: limit, clock: clock) {
        case .value(let result): return try result.get()
        case .timedOut: throw SnapshotterError(.deadlineExceeded, "\(call) took longer than \(limit)")
        case .cancelled: throw SnapshotterError(.cancelled, "\(call): the server is shutting down")
        }
    } onCancelRPC: {
        result.fulfill(.failure(SnapshotterError(.cancelled, "\(call): cancelled by the client")))
    }
}
