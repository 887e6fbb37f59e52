public import Base

/// The eStargz format (stargz-snapshotter, docs/estargz.md): independent gzip members, and a table of contents. The
/// table is at the end of the blob or in a separate image.
public struct EstargzFormat: LayerFormat {
    public let name = "eStargz"

    public init() {}

    public func isAnnounced(by layer: LayerDescription) -> Bool {
        mayBe(layer) && layer.annotations[TOCOpener.digestAnnotation] != nil
    }

    public func pin(in layer: LayerDescription) -> Digest? {
        TOCOpener.digest(in: layer, keys: [TOCOpener.digestAnnotation])
    }

    public func mayBe(_ layer: LayerDescription) -> Bool { !layer.mediaType.hasSuffix("zstd") }

    public func opener(for layer: LayerDescription, options: LayerOpenOptions) -> any LayerOpener {
        TOCOpener(layer, dialect: EstargzDialect(), options: options)
    }
}

/// The layout of the end of an eStargz blob.
private struct EstargzDialect: TOCDialect {
    let name = "eStargz"
    let longestFooter = EstargzFooter.maximumSize
    let compressedDigestAnnotations: [String] = []

    func locate(
        in tail: UnsafeRawBufferPointer, of blob: Digest, size: UInt64
    ) throws(LayerFormatError) -> TOCLocation? {
        switch EstargzFooter(tail: tail) {
        case nil: return nil
        case .externalTOC(let footerSize): return .outside(payloadEnd: size - UInt64(footerSize))
        case .internalTOC(let offset, let footerSize):
            let end = size - UInt64(footerSize)
            guard offset < end else {
                throw LayerFormatError(.badFooter, "the footer of \(blob) puts the TOC at \(offset) of \(size) bytes")
            }
            return .inside(ByteRange(offset: offset, end: end), payloadEnd: offset, zstdSize: nil)
        }
    }
}
