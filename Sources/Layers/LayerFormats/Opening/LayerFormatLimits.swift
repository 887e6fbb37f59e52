public import LayerIndex

/// Limits on the size of a table of contents. Checked before memory is taken.
public struct LayerFormatLimits: Sendable, Equatable {
    /// Compressed bytes of the TOC. They are held in memory until the index is made.
    public var compressedTOC: UInt64 = 256 << 20
    /// Bytes of the TOC's JSON text. It is never in memory as a whole.
    public var uncompressedTOC: UInt64 = 512 << 20
    /// Bytes of one entry in the JSON text, which is in memory as a whole. Linux allows 64 KiB an extended attribute.
    public var entryText = 4 << 20
    /// Extended attributes of one entry.
    public var attributesPerEntry = 512
    /// Entries, path lengths, depth, chunks.
    public var index = IndexLimits.standard

    public init() {}

    /// The daemon's limits.
    public static let standard = LayerFormatLimits()
}
