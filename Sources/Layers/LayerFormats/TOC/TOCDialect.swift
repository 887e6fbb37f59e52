import Base

/// The properties in which formats with a table of contents differ: mainly the end of the blob.
protocol TOCDialect: Sendable {
    /// The format's name, for messages.
    var name: String { get }
    /// The size of the longest footer in bytes.
    var longestFooter: Int { get }
    /// The annotations that may name the digest of the compressed table of contents. The first one present counts.
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
    /// A separate image.
    case outside(payloadEnd: UInt64)
}

/// Names of files in the root directory that describe the layer and are not part of it.
enum TOCNames {
    /// The table of contents itself.
    static let toc = Array("stargz.index.json".utf8)
    /// A one-byte file that says that a start needs the layer's data before it.
    static let prefetchLandmark = Array(".prefetch.landmark".utf8)
    /// A one-byte file that says that a start needs none of the layer's data.
    static let noPrefetchLandmark = Array(".no.prefetch.landmark".utf8)
}
