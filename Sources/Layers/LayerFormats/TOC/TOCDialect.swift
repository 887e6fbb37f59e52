import Base

/// The part of a format with a table of contents that its relatives do not share: the blob's end.
protocol TOCDialect: Sendable {
    /// The format's name, for messages.
    var name: String { get }
    /// The size of the longest footer in bytes.
    var longestFooter: Int { get }
    /// The annotations that name the digest of the compressed table of contents, the first that is there counts.
    var compressedDigestAnnotations: [String] { get }

    /// Returns the place of the table of contents; `nil` for a tail without a footer.
    ///
    /// - Parameters:
    ///   - tail: the blob's last bytes, at least as many as the longest footer has, or all.
    ///   - size: the blob's size.
    func locate(in tail: UnsafeRawBufferPointer, of blob: Digest, size: UInt64) throws(LayerFormatError) -> TOCLocation?
}

/// The place of a table of contents.
enum TOCLocation: Equatable {
    /// A place in the blob; the layer's data ends at `payloadEnd`. `zstdSize` is the size of the text in a zstd frame;
    /// `nil` for a gzip member with a tar archive.
    case inside(ByteRange, payloadEnd: UInt64, zstdSize: UInt64?)
    /// A place in an image of its own.
    case outside(payloadEnd: UInt64)
}

/// Names of files in the root directory that are about the layer, not part of it.
enum TOCNames {
    /// The table of contents itself.
    static let toc = Array("stargz.index.json".utf8)
    /// A file of one byte: the layer's data before it is needed early.
    static let prefetchLandmark = Array(".prefetch.landmark".utf8)
    /// A file of one byte: nothing in the layer is needed early.
    static let noPrefetchLandmark = Array(".no.prefetch.landmark".utf8)
}
