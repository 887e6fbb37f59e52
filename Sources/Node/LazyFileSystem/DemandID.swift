/// Names one call of ``ChunkSource/demand(_:chunks:completion:)`` until its completion has run.
public struct DemandID: Hashable, Sendable {
    /// Chosen by the source; never used twice by one source.
    public let value: UInt64

    public init(value: UInt64) {
        self.value = value
    }
}
