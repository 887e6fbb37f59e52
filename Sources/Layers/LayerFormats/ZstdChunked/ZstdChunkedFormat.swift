public import Base

/// The zstd:chunked format (``ZstdChunkedFooter``): independent zstd frames, and a table of contents in a frame that
/// decoders skip.
public struct ZstdChunkedFormat: LayerFormat {
    /// The annotations that may contain the digest of the compressed table of contents. containers/storage used the
    /// second name before 2022-11-03, and stargz-snapshotter still uses it.
    public static let manifestChecksumAnnotations = [
        "io.github.containers.zstd-chunked.manifest-checksum", "io.containers.zstd-chunked.manifest-checksum",
    ]

    public let name = "zstd:chunked"

    public init() {}

    public func isAnnounced(by layer: LayerDescription) -> Bool {
        mayBe(layer)
            && ([TOCOpener.digestAnnotation] + Self.manifestChecksumAnnotations).contains {
                layer.annotations[$0] != nil
            }
    }

    public func pin(in layer: LayerDescription) -> Digest? {
        TOCOpener.digest(in: layer, keys: [TOCOpener.digestAnnotation] + Self.manifestChecksumAnnotations)
    }

    public func mayBe(_ layer: LayerDescription) -> Bool { layer.mediaType.hasSuffix("zstd") }

    public func opener(for layer: LayerDescription, options: LayerOpenOptions) -> any LayerOpener {
        TOCOpener(layer, dialect: ZstdChunkedDialect(), options: options)
    }
}

/// The layout of the end of a zstd:chunked blob.
private struct ZstdChunkedDialect: TOCDialect {
    let name = "zstd:chunked"
    let longestFooter = ZstdChunkedFooter.maximumSize
    let compressedDigestAnnotations = ZstdChunkedFormat.manifestChecksumAnnotations

    func locate(
        in tail: UnsafeRawBufferPointer, of blob: Digest, size: UInt64
    ) throws(LayerFormatError) -> TOCLocation? {
        guard let footer = ZstdChunkedFooter(tail: tail) else { return nil }
        let header = UInt64(SkippableFrame.headerSize)
        guard footer.toc.offset >= header, !footer.toc.isEmpty, footer.toc.end < size else {
            throw LayerFormatError(.badFooter, "the footer of \(blob) puts the TOC at \(footer.toc) of \(size) bytes")
        }
        return .inside(footer.toc, payloadEnd: footer.toc.offset - header, zstdSize: footer.tocSize)
    }
}
