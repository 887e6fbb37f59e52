import NIOPosix

/// A pool of threads for blocking work on the database and on directories.
///
/// Blocking work must not run in Swift's cooperative pool. That pool has one thread per core: on a node with two cores,
/// two blocked threads stop all tasks.
struct BlockingPool: Sendable {
    private let pool: NIOThreadPool

    init(threads: Int) {
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

    /// Runs `body` on one of the threads. Throws `CancellationError` if the task is canceled before `body` starts.
    func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await pool.runIfActive(body)
    }

    func shutDown() async {
        // This fails only after an earlier shutdown.
        try? await pool.shutdownGracefully()
    }
}
