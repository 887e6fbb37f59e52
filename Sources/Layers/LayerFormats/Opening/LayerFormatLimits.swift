import Base
public import LayerIndex

/// Limits on a table of contents (TOC). The opener checks them before it allocates memory.
public struct LayerFormatLimits: Sendable, Equatable {
    /// The maximum size of a compressed TOC in bytes. The compressed TOC stays in memory until the index is complete.
    public var compressedTOC: UInt64 = 64 << 20
    /// The maximum size in bytes of a TOC's JSON text. The text is never in memory as a whole.
    public var uncompressedTOC: UInt64 = 512 << 20
    /// The maximum ratio of the sizes of the JSON text and the compressed TOC, for texts of more than
    /// ``uncheckedTOC`` bytes. Texts of real layers are 4 to 20 times as large.
    public var ratioOfTOC: UInt64 = 64
    /// The size in bytes up to which a JSON text may be compressed at any ratio.
    public var uncheckedTOC: UInt64 = 16 << 20
    /// The maximum size in bytes of one entry's JSON text, which is in memory as a whole. An entry can be large,
    /// because it contains the file's extended attributes. Linux allows 64 KiB for each attribute.
    public var entryText = 4 << 20
    /// The maximum number of extended attributes of one entry.
    public var attributesPerEntry = 512
    /// The limits on the layer index: entries, path lengths, directory depth and chunks.
    public var index = IndexLimits.standard

    public init() {}

    /// Returns the maximum size in bytes of the JSON text in a compressed TOC of `compressed` bytes.
    func textSize(compressed: UInt64) -> UInt64 {
        min(uncompressedTOC, max(uncheckedTOC, compressed.times(ratioOfTOC)))
    }

    /// The daemon's limits.
    public static let standard = LayerFormatLimits()
}
