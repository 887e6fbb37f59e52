import Base

/// The properties in which formats with a table of contents differ: mainly the layout of the blob's end.
protocol TOCDialect: Sendable {
    /// The format's name, for messages.
    var name: String { get }
    /// The size of the longest footer in bytes.
    var longestFooter: Int { get }
    /// The annotations that may name the digest of the compressed table of contents. If several are present, the first
    /// one counts.
    var compressedDigestAnnotations: [String] { get }

    /// Returns the location of the table of contents; `nil` for a tail without a footer.
    ///
    /// - Parameters:
    ///   - tail: the blob's last bytes: at least as many as the longest footer has, or the whole blob.
    ///   - blob: the blob's digest, for messages.
    ///   - size: the blob's size in bytes.
    func locate(in tail: UnsafeRawBufferPointer, of blob: Digest, size: UInt64) throws(LayerFormatError) -> TOCLocation?
}

/// The location of a table of contents.
enum TOCLocation: Equatable {
    /// A range of the blob. The layer's data ends at `payloadEnd`. `zstdSize` is the decoded size of a zstd frame with
    /// the JSON text; `nil` for a gzip member with a tar archive.
    case inside(ByteRange, payloadEnd: UInt64, zstdSize: UInt64?)
    /// No range of the blob: the table of contents is in a separate image. The layer's data ends at `payloadEnd`.
    case outside(payloadEnd: UInt64)
}

/// Names of files in the root directory that describe the layer and are not part of it.
enum TOCNames {
    /// The table of contents itself.
    static let toc = Array("stargz.index.json".utf8)
    /// A one-byte file that marks a position in the layer: a start needs the data before it.
    static let prefetchLandmark = Array(".prefetch.landmark".utf8)
    /// A one-byte file that marks a layer: a start needs none of its data.
    static let noPrefetchLandmark = Array(".no.prefetch.landmark".utf8)
}
