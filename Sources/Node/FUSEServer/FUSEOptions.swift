import Glibc

/// The options of a ``FUSEServer``.
public struct FUSEOptions: Sendable {
    /// The number of threads that read requests, at least 1. No thread waits for the network. More threads than
    /// processors help only while the disk is slow.
    public var threads: Int
    /// The source name that `mount` and `df` show.
    public var sourceName: String
    /// The longest time in nanoseconds that ``FUSEServer/stop()`` waits for reads that the server is still answering.
    /// Then `stop()` waits at most 1.25 times this long for the server's threads to end.
    public var stopTimeout: UInt64
    /// The kernel's read-ahead for a sequential reader, in bytes; `nil` keeps the kernel's default (128 KiB).
    public var readAhead: Int?
    /// The receiver of failure messages, called on any thread. Failed requests cause at most one message a second. This
    /// message states the number of omitted messages.
    public var log: @Sendable (String) -> Void
    /// The handler of a lost connection. It runs once if the connection ends without ``FUSEServer/stop()``, for example
    /// because somebody unmounted the file system or aborted the connection.
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

    /// The number of processors, but at least 4, because a worker may wait for the disk.
    public static var defaultThreads: Int { max(4, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// The largest read that we ask the kernel to send, in bytes. It is 256 pages, the kernel's default limit
    /// (`fs.fuse.max_pages_limit`).
    static let maximumRead = 1 << 20
}
