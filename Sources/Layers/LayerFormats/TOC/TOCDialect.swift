import Base

/// The properties in which formats with a table of contents differ: mainly the layout of the blob's end.
protocol TOCDialect: Sendable {
    /// The format's name, for messages.
    var name: String { get }
    /// The size of the longest footer in bytes.
    var longestFooter: Int { get }
    /// The keys of the annotations that may contain the digest of the compressed table of contents. If a layer has
    /// several of them, the first one in this list counts.
    var compressedDigestAnnotations: [String] { get }

    /// Returns the location of the table of contents; `nil` for a tail without a footer.
    ///
    /// - Parameters:
    ///   - tail: the blob's last bytes: at least ``longestFooter`` bytes, or the whole blob if it is smaller.
    ///   - blob: the blob's digest, for messages.
    ///   - size: the blob's size in bytes.
    func locate(in tail: UnsafeRawBufferPointer, of blob: Digest, size: UInt64) throws(LayerFormatError) -> TOCLocation?
}

/// The location of a table of contents.
enum TOCLocation: Equatable {
    /// The range of the blob with the compressed table of contents. If `zstdSize` is `nil`, the range is a gzip member
    /// with a tar archive. Otherwise, it is a zstd frame with JSON text of `zstdSize` bytes. The layer's data ends at
    /// `payloadEnd`.
    case inside(ByteRange, payloadEnd: UInt64, zstdSize: UInt64?)
    /// No range of the blob: the table of contents is in a separate image. The layer's data ends at `payloadEnd`.
    case outside(payloadEnd: UInt64)
}

/// The names of files in the root directory that describe the layer. They are not part of the layer's tree.
enum TOCNames {
    /// The table of contents itself.
    static let toc = Array("stargz.index.json".utf8)
    /// A one-byte file that marks a position in the layer. A container start needs the data before this position.
    static let prefetchLandmark = Array(".prefetch.landmark".utf8)
    /// A one-byte file that marks a layer. A container start needs none of the layer's data.
    static let noPrefetchLandmark = Array(".no.prefetch.landmark".utf8)
}
