import NIOPosix

/// Threads for blocking work: the database, directories. Two blocked threads would stop the cooperative pool of a
/// two-core node.
struct BlockingPool: Sendable {
    private let pool: NIOThreadPool

    init(threads: Int) {
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

    /// Runs `body` on one of the threads. Throws `CancellationError` if the task is cancelled before `body` starts.
    func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await pool.runIfActive(body)
    }

    func shutDown() async {
        // Fails only after an earlier shutdown.
        try? await pool.shutdownGracefully()
    }
}
