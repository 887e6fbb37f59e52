/// A supplier of missing chunks: the streaming engine, or a fake in tests.
public protocol ChunkSource: AnyObject, Sendable {
    /// Requests `chunks` of `layer` for a blocked reader. Chunks that are already present are not fetched.
    ///
    /// `completion` runs exactly once, on any thread, possibly before this function returns. It must not wait. Copying
    /// a mebibyte and making one short system call are allowed.
    ///
    /// - Returns: the ID with which to cancel the demand.
    func demand(
        _ layer: StoredLayer, chunks: Range<Int>, completion: @escaping @Sendable (ChunkOutcome) -> Void
    ) -> DemandID

    /// Cancels a demand whose reader is gone. The completion of the demand then runs with ``ChunkOutcome/cancelled``.
    /// Does nothing if the completion has already run.
    func cancel(_ demand: DemandID)

    /// Records that a reader received `chunks` of `layer` from the store, without a demand. From these calls, the
    /// source detects sequential reads. The file system does not call this for each read, but only when a file's reads
    /// move to other chunks. An implementation must return quickly and not wait.
    func noteRead(_ layer: StoredLayer, chunks: Range<Int>)
}

/// The ID of a demand, which is one call of ``ChunkSource/demand(_:chunks:completion:)``. The demand ends when its
/// completion has run.
public struct DemandID: Hashable, Sendable {
    /// A number that the source chooses and never uses twice.
    public let value: UInt64

    public init(value: UInt64) {
        self.value = value
    }
}

/// The outcome of a demand for chunks.
public enum ChunkOutcome: Sendable, Hashable {
    /// Every requested chunk was verified and published. The store may drop a chunk again before it is read.
    case available
    /// The demand was canceled with ``ChunkSource/cancel(_:)``, or the source shut down.
    case cancelled
    /// At least one chunk cannot be fetched now. A later demand tries again. `reason` goes to the log and never
    /// contains a credential.
    case failed(reason: String)
}
