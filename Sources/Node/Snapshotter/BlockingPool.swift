import NIOPosix

/// Threads for work that blocks: the database, directories. Two blocked threads would stop the whole cooperative pool
/// of a two-core node.
struct BlockingPool: Sendable {
    private let pool: NIOThreadPool

    init(threads: Int) {
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

    /// Runs `body` on one of the threads. A task that is cancelled before `body` has started throws
    /// `CancellationError`.
    func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await pool.runIfActive(body)
    }

    func shutDown() async {
        // It only fails when it has been shut down before.
        try? await pool.shutdownGracefully()
    }
}
