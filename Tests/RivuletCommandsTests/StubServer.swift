import Base
import HTTPAPI
import Logging

/// An HTTP server that records each request and answers it with a closure.
final class StubServer: Sendable {
    private let state = Guarded<[HTTPRequest]>([])

    var requests: [HTTPRequest] { state.withLock { $0 } }

    private func record(_ request: HTTPRequest) {
        state.withLock { $0.append(request) }
    }

    /// Runs `body` while a server listens.
    ///
    /// - Parameter body: receives the server and its port, which is 0 if `address` has none.
    static func with<Result: Sendable>(
        _ address: HTTPListener.Address, answer: @escaping @Sendable (HTTPRequest) -> HTTPAnswer,
        _ body: @Sendable (StubServer, Int) async throws -> Result
    ) async throws -> Result {
        let server = StubServer()
        let (ports, continuation) = AsyncStream<Int>.makeStream()
        let listener = HTTPListener(
            address, maximumBody: 1 << 20, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            started: { continuation.yield($0 ?? 0) }
        ) { request in
            server.record(request)
            return answer(request)
        }
        let run = Task {
            defer { continuation.finish() }
            try await listener.run()
        }
        defer { run.cancel() }
        guard let port = await ports.first(where: { _ in true }) else {
            // The server ended before it listened, and its error says why.
            try await run.value
            throw CancellationError()
        }
        return try await body(server, port)
    }
}
