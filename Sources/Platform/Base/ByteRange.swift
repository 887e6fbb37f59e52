/// A range of bytes, in a blob or in a layer's content space (the contents of its files, one after another). The sum of
/// offset and count never overflows.
public struct ByteRange: Hashable, Sendable {
    /// The position of the first byte.
    public let offset: UInt64
    /// The number of bytes; may be 0.
    public let count: UInt64

    /// The position after the last byte.
    @inlinable
    public var end: UInt64 { offset &+ count }

    /// Creates a range, or returns `nil` if `offset + count` does not fit in 64 bits.
    @inlinable
    public init?(offset: UInt64, count: UInt64) {
        guard !offset.addingReportingOverflow(count).overflow else { return nil }
        self.offset = offset
        self.count = count
    }

    /// Creates the half-open range from `offset` to `end`; empty if `end` is not after `offset`.
    @inlinable
    public init(offset: UInt64, end: UInt64) {
        self.offset = offset
        self.count = end > offset ? end &- offset : 0
    }

    @inlinable
    public var isEmpty: Bool { count == 0 }

    /// Returns true if `position` lies in the range.
    @inlinable
    public func contains(_ position: UInt64) -> Bool {
        position >= offset && position < end
    }

    /// Returns true if all of `other` lies in the range.
    @inlinable
    public func contains(_ other: ByteRange) -> Bool {
        other.offset >= offset && other.end <= end
    }

    /// Returns true if the two ranges share a byte. An empty range overlaps nothing.
    @inlinable
    public func overlaps(_ other: ByteRange) -> Bool {
        offset < other.end && other.offset < end && !isEmpty && !other.isEmpty
    }
}

extension ByteRange: CustomStringConvertible {
    public var description: String { "[\(offset), \(end))" }
}
