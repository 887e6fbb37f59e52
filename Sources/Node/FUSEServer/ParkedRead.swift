import LazyFileSystem

/// A read that waits for chunks: what is needed to try it again, and the request that it will answer.
///
/// A class because the token cannot be copied and a dictionary can only hold what can.
final class ParkedRead: @unchecked Sendable {
    // Safe: `ParkedReads` is only used behind a lock and gives each out once; whoever got it is its only user.
    private var token: RequestToken?
    let node: NodeID
    let offset: UInt64
    let count: Int
    let miss: Miss
    /// How often its chunks were asked for before.
    let attempt: Int
    /// The thread that reads; 0 when it is none that we can see.
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

    /// The request, once.
    func takeToken() -> RequestToken? {
        token.take()
    }
}
