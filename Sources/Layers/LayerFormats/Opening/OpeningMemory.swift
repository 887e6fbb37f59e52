/// The estimated memory in bytes that the last step of a ``LayerOpener`` takes, with the bytes that the opener has
/// received and with the index.
public struct OpeningMemory: Sendable, Equatable {
    /// The memory below which the step cannot succeed.
    public var least: UInt64
    /// The memory that the step takes at most. A layer that needs more throws ``LayerFormatErrorCode/limit``.
    public var most: UInt64

    public init(least: UInt64, most: UInt64) {
        self.least = least
        self.most = max(least, most)
    }

    /// The need of a small layer in any format.
    static let base: UInt64 = 8 << 20
}
