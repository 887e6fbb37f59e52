/// The end of a demand for chunks.
public enum ChunkOutcome: Sendable, Hashable {
    /// Every requested chunk was verified and published. Eviction may have dropped it again by the time it is read.
    case available
    /// The reader called ``ChunkSource/cancel(_:)``, or the source shut down.
    case cancelled
    /// At least one chunk cannot be fetched now; a later demand tries again. `reason` is for the log and never holds a
    /// credential.
    case failed(reason: String)
}
