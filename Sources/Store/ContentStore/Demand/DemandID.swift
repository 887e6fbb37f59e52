/// The identity of one call of ``ChunkSource/demand(_:chunks:completion:)`` until its completion has run.
public struct DemandID: Hashable, Sendable {
    /// A number that the source chooses and never uses twice.
    public let value: UInt64

    public init(value: UInt64) {
        self.value = value
    }
}
