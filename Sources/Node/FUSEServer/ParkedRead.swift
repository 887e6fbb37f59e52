import LazyFileSystem

/// A read that waits for chunks. It holds the unanswered request and the arguments for a retry.
///
/// It is a class, because the request token cannot be copied and a dictionary can only hold copyable values.
final class ParkedRead: @unchecked Sendable {
    // Safe: `ParkedReads` is only used behind a lock and returns each read once; its receiver is its only user.
    private var token: RequestToken?
    let node: NodeID
    let offset: UInt64
    let count: Int
    let miss: Miss
    /// The number of this attempt to get the read's chunks, starting at 1.
    let attempt: Int
    /// The thread ID of the reader in our PID namespace; 0 if it has none there.
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

    /// Returns the request at the first call, then `nil`.
    func takeToken() -> RequestToken? {
        token.take()
    }
}
