import Glibc

/// How the file system is served.
public struct FUSEOptions: Sendable {
    /// Threads that read requests, at least 1. None of them ever waits for the network; more than the processors only help
    /// while the disk is slow.
    public var threads: Int
    /// What `mount` and `df` show as the source.
    public var sourceName: String
    /// How long ``FUSEServer/stop()`` waits for requests in hand and for its threads, in nanoseconds.
    public var stopTimeout: UInt64
    /// How far the kernel reads ahead of a sequential reader, in bytes; `nil` leaves the kernel's default (128 KiB).
    public var readAhead: Int?
    /// Told of failures: at most one line a second, with the number of those that were left out. Any thread.
    public var log: @Sendable (String) -> Void
    /// Told once when the connection ended though ``FUSEServer/stop()`` was not called: somebody unmounted or aborted it.
    public var connectionLost: @Sendable () -> Void

    public init(
        threads: Int = FUSEOptions.defaultThreads, sourceName: String = "rivulet", stopTimeout: UInt64 = 5_000_000_000,
        readAhead: Int? = nil, log: @escaping @Sendable (String) -> Void = { _ in },
        connectionLost: @escaping @Sendable () -> Void = {}
    ) {
        self.threads = max(1, threads)
        self.sourceName = sourceName
        self.stopTimeout = stopTimeout
        self.readAhead = readAhead
        self.log = log
        self.connectionLost = connectionLost
    }

    /// The processors, but no fewer than four: a worker may wait for the disk.
    public static var defaultThreads: Int { max(4, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// The largest read that the kernel is asked to send, in bytes: 256 pages is its own limit by default
    /// (`fs.fuse.max_pages_limit`).
    static let maximumRead = 1 << 20
}
