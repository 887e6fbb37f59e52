/// How a demand for chunks ended.
public enum ChunkOutcome: Sendable, Hashable {
    /// Every chunk asked for has been verified and published. (It may be gone again by the time that it is read.)
    case available
    /// ``ChunkSource/cancel(_:)`` was called, or the source shuts down.
    case cancelled
    /// At least one chunk cannot be had. `reason` is for the log: it never holds a credential.
    case failed(reason: String)
}
