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
    /// with a tar archive. Otherwise, the range is a zstd frame, which decodes to `zstdSize` bytes of JSON text. The
    /// layer's data ends at offset `payloadEnd` of the blob.
    case inside(ByteRange, payloadEnd: UInt64, zstdSize: UInt64?)
    /// A separate image with the table of contents. The layer's data ends at offset `payloadEnd` of the blob.
    case outside(payloadEnd: UInt64)
}

/// The names of files in the root directory that describe the layer. They are not part of the layer's tree.
enum TOCNames {
    /// The table of contents itself.
    static let toc = Array("stargz.index.json".utf8)
    /// A one-byte file whose offset in the blob is the end of the data that a container start needs.
    static let prefetchLandmark = Array(".prefetch.landmark".utf8)
    /// A one-byte file that marks a layer from which a container start needs no data.
    static let noPrefetchLandmark = Array(".no.prefetch.landmark".utf8)
}
