import LazyFileSystem

/// A parked read: a READ request that waits for missing chunks. The object holds the unanswered request and the
/// arguments for a retry.
///
/// The type is a class, because the request token cannot be copied and a dictionary can only hold copyable values.
final class ParkedRead: @unchecked Sendable {
    // Safe: only `token` changes, and only the thread that ended the read's wait calls `takeToken()`. `ParkedReads` is
    // always behind a lock and lets one thread end a wait.
    private var token: RequestToken?
    let node: NodeID
    let offset: UInt64
    let count: Int
    let miss: Miss
    /// The number of times that the read has waited, including the current wait: 1 or more.
    let attempt: Int
    /// The thread ID of the reader in our PID namespace; 0 if the reader is outside that namespace.
    let reader: Int32

    init(_ token: consuming RequestToken, node: NodeID, offset: UInt64, count: Int, miss: Miss, attempt: Int) {
        reader = token.thread
        self.token = consume token
        self.node = node
        self.offset = offset
        self.count = count
        self.miss = miss
        self.attempt = attempt
    }

    /// Returns the request on the first call, and `nil` on later calls.
    func takeToken() -> RequestToken? {
        token.take()
    }
}
