import LazyFileSystem

/// A read that waits for chunks: the data to retry it, and the request to answer.
///
/// A class, because the token cannot be copied and a dictionary can only hold copyable values.
final class ParkedRead: @unchecked Sendable {
    // Safe: `ParkedReads` is only used behind a lock and returns each read once; its receiver is its only user.
    private var token: RequestToken?
    let node: NodeID
    let offset: UInt64
    let count: Int
    let miss: Miss
    /// The number of earlier attempts to get its chunks.
    let attempt: Int
    /// The reading thread; 0 if it is not visible to us.
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

    /// Returns the request, once.
    func takeToken() -> RequestToken? {
        token.take()
    }
}
