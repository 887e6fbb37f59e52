import GRPCCore

/// Runs `body` and gives its result, or ``SnapshotterError/Code/deadlineExceeded`` after `limit`, or
/// ``SnapshotterError/Code/cancelled`` as soon as the RPC that this runs in is cancelled.
///
/// containerd sets no deadlines, and holds a lock over some calls: an answer must come. In the latter two cases
/// `body`'s task is cancelled but not waited for; a transaction that has begun is carried through.
func bounded<Value: Sendable>(
    _ limit: Duration, clock: any Clock<Duration>, _ what: String,
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let race = Race<Value>()
    let work = Task {
        do {
            race.finish(.success(try await body()))
        } catch {
            race.finish(.failure(error))
        }
    }
    let timer = Task {
        // Cancelled means that the race is decided.
        guard (try? await clock.sleep(for: limit)) != nil else { return }
        race.finish(.failure(SnapshotterError(.deadlineExceeded, "\(what) took longer than \(limit)")))
    }
    defer {
        timer.cancel()
        work.cancel()
    }
    return try await withRPCCancellationHandler {
        try await withTaskCancellationHandler {
            try await race.value()
        } onCancel: {
            race.finish(.failure(SnapshotterError(.cancelled, "\(what): the server is shutting down")))
        }
    } onCancelRPC: {
        race.finish(.failure(SnapshotterError(.cancelled, "\(what): cancelled by the client")))
    }
}
