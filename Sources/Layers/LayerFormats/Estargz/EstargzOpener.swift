public import Base
import LayerIndex

/// Makes a layer index from an eStargz blob (stargz-snapshotter, docs/estargz.md), or from a zstd:chunked one
/// (``ZstdChunkedFooter``), without doing I/O: it says which bytes it wants, the caller brings them.
///
///     var opener = EstargzOpener(layer)
///     while true {
///         switch try opener.next() {
///         case .read(let request): try opener.receive(bytes, range: …, blobSize: …)
///         case .readExternalTOC: try opener.receiveExternalTOC(bytes)
///         case .done(let index): return index
///         }
///     }
///
/// One request suffices when the first one, a suffix of the blob, holds the table of contents; else it takes one more for
/// exactly the part that is missing. After an error the opener is of no more use.
public struct EstargzOpener: Sendable {
    /// The annotation whose value is the digest of the TOC's JSON text.
    public static let tocDigestAnnotation = "containerd.io/snapshot/stargz/toc.digest"
    /// The annotation whose value is the digest of a zstd:chunked layer's compressed TOC. The second name is the one that
    /// containers/storage used before 2022-11-03 and stargz-snapshotter uses.
    public static let manifestChecksumAnnotations = [
        "io.github.containers.zstd-chunked.manifest-checksum", "io.containers.zstd-chunked.manifest-checksum",
    ]

    /// Whether something says that a layer can be streamed by itself.
    public static func isAnnounced(_ layer: LayerDescription) -> Bool {
        ([tocDigestAnnotation] + manifestChecksumAnnotations).contains { layer.annotations[$0] != nil }
    }

    private enum State {
        case start
        case tail(count: UInt64)
        /// What is missing of the TOC, and what of the tail it goes on with.
        case rest(ByteRange, tail: ArraySlice<UInt8>, TOCPlace)
        case external(payloadEnd: UInt64)
        /// The pieces of the compressed TOC.
        case ready([ArraySlice<UInt8>], TOCPlace)
        case over
    }

    /// Where the payload ends, and for zstd:chunked how many bytes of text the TOC has.
    private struct TOCPlace {
        let payloadEnd: UInt64
        var zstdSize: UInt64?
    }

    private let layer: LayerDescription
    private let allowUnverifiedTOC: Bool
    private let limits: EstargzLimits
    private var state = State.start
    private var tocDigest: Digest?
    private var compressedTOCDigest: Digest?
    private var blobSize: UInt64

    /// - Parameters:
    ///   - allowUnverifiedTOC: Takes a layer whose annotations name no TOC digest. An annotation that is there always
    ///     counts, and every chunk needs its digest in any case.
    public init(_ layer: LayerDescription, allowUnverifiedTOC: Bool = false, limits: EstargzLimits = .standard) {
        self.layer = layer
        self.allowUnverifiedTOC = allowUnverifiedTOC
        self.limits = limits
        blobSize = layer.size
    }

    /// How many bytes from the end of a blob of `blobSize` bytes (0: unknown) to ask for first.
    ///
    /// A TOC has some 90 compressed bytes an entry, most of them digests: 0.05 to 0.8 % of layers of a megabyte or more, by what
    /// lies in them, more in small ones. A 128th, or a 100th up to 64 KiB, takes nearly all of them in. Whatever is asked for in vain takes the link's
    /// time in front of the container's first bytes; what is missing costs one more round trip. Below 32 KiB a request costs its latency only.
    public static func firstRequestSize(blobSize: UInt64) -> UInt64 {
        guard blobSize > 0 else { return 256 << 10 }
        return min(blobSize, max(32 << 10, min(blobSize / 100, 64 << 10), min(blobSize / 128, 1 << 20)))
    }

    /// What to do next. The step that makes the index takes CPU time, a second for half a million entries: not on an
    /// event loop.
    public mutating func next() throws(LayerFormatError) -> OpenStep {
        switch state {
        case .start:
            try readDescription()
            let count = Self.firstRequestSize(blobSize: layer.size)
            state = .tail(count: count)
            return .read(.suffix(count))
        case .tail(let count): return .read(.suffix(count))
        case .rest(let range, _, _): return .read(.range(range))
        case .external: return .readExternalTOC
        case .ready(let pieces, let place):
            state = .over
            return .done(try makeIndex(pieces, place))
        case .over: throw LayerFormatError(.badResponse, "nothing more to do for \(layer.digest)")
        }
    }

    /// Takes bytes of the blob.
    ///
    /// - Parameters:
    ///   - range: Where in the blob `bytes` lie. More than what was asked for is fine.
    ///   - blobSize: What the registry says that the whole blob has.
    public mutating func receive(
        _ bytes: [UInt8], range: ByteRange, blobSize: UInt64
    ) throws(LayerFormatError) {
        guard range.count == UInt64(bytes.count), range.end <= blobSize,
            self.blobSize == 0 || self.blobSize == blobSize
        else {
            state = .over
            throw LayerFormatError(
                .badResponse,
                "got \(bytes.count) bytes as \(range) of \(blobSize) for blob \(layer.digest) of \(self.blobSize) bytes"
            )
        }
        self.blobSize = blobSize
        switch state {
        case .tail:
            // If anything below throws, the opener is over.
            state = .over
            try receiveTail(bytes, range)
        case .rest(let wanted, let tail, let place):
            state = .over
            guard range.contains(wanted) else {
                throw LayerFormatError(.badResponse, "got \(range) of blob \(layer.digest) for \(wanted)")
            }
            let start = Int(wanted.offset - range.offset)
            state = .ready([bytes[start..<start + Int(wanted.count)], tail], place)
        case .start, .external, .ready, .over:
            state = .over
            throw LayerFormatError(.badResponse, "bytes of blob \(layer.digest) that were not asked for")
        }
    }

    /// Takes the layer blob of the TOC image: a gzip-compressed tar archive with nothing but the TOC in it.
    public mutating func receiveExternalTOC(_ compressed: [UInt8]) throws(LayerFormatError) {
        guard case .external(let payloadEnd) = state else {
            state = .over
            throw LayerFormatError(.badResponse, "an external TOC for \(layer.digest), which was not asked for")
        }
        guard UInt64(compressed.count) <= limits.compressedTOC else {
            state = .over
            throw LayerFormatError(.limit, "the TOC of \(layer.digest) has \(compressed.count) compressed bytes")
        }
        state = .ready([compressed[...]], TOCPlace(payloadEnd: payloadEnd))
    }

    private var isZstd: Bool { layer.mediaType.hasSuffix("zstd") }

    private mutating func readDescription() throws(LayerFormatError) {
        state = .over
        tocDigest = try digest([Self.tocDigestAnnotation])
        if isZstd { compressedTOCDigest = try digest(Self.manifestChecksumAnnotations) }
        guard tocDigest != nil || compressedTOCDigest != nil || allowUnverifiedTOC else {
            throw LayerFormatError(
                .unverified,
                "layer \(layer.digest) has no annotation \(Self.tocDigestAnnotation)"
                    + (isZstd
                        ? " or \(Self.manifestChecksumAnnotations[0]): it is not a zstd:chunked layer"
                        : ": it is not an eStargz layer") + ", or its TOC cannot be verified")
        }
    }

    /// What the first annotation that is there says.
    private func digest(_ keys: [String]) throws(LayerFormatError) -> Digest? {
        guard let annotation = keys.lazy.compactMap({ layer.annotations[$0] }).first else { return nil }
        guard let digest = Digest(annotation) else {
            throw LayerFormatError(
                .unverified, "the TOC digest of \(layer.digest) is no sha256 digest: \(annotation.prefix(100))")
        }
        return digest
    }

    private mutating func receiveTail(_ bytes: [UInt8], _ range: ByteRange) throws(LayerFormatError) {
        let longest = isZstd ? ZstdChunkedFooter.maximumSize : EstargzFooter.maximumSize
        guard range.end == blobSize, UInt64(bytes.count) >= min(UInt64(longest), blobSize) else {
            throw LayerFormatError(.badResponse, "got \(range), which is not the end of blob \(layer.digest)")
        }
        guard !isZstd else { return try receiveZstdTail(bytes, range) }
        guard let footer = bytes.withUnsafeBytes({ EstargzFooter(tail: $0) }) else {
            throw LayerFormatError(.notEstargz, "blob \(layer.digest) has no eStargz footer")
        }
        switch footer {
        case .externalTOC(let footerSize):
            state = .external(payloadEnd: blobSize - UInt64(footerSize))
        case .internalTOC(let offset, let footerSize):
            let end = blobSize - UInt64(footerSize)
            guard offset < end else {
                throw LayerFormatError(
                    .badFooter, "the footer of \(layer.digest) puts the TOC at \(offset) of \(blobSize) bytes")
            }
            try take(ByteRange(offset: offset, end: end), of: bytes, range, TOCPlace(payloadEnd: offset))
        }
    }

    private mutating func receiveZstdTail(_ bytes: [UInt8], _ range: ByteRange) throws(LayerFormatError) {
        guard let footer = bytes.withUnsafeBytes({ ZstdChunkedFooter(tail: $0) }) else {
            throw LayerFormatError(.notEstargz, "blob \(layer.digest) has no zstd:chunked footer")
        }
        let header = UInt64(SkippableFrame.headerSize)
        guard footer.toc.offset >= header, !footer.toc.isEmpty, footer.toc.end < blobSize else {
            throw LayerFormatError(
                .badFooter, "the footer of \(layer.digest) puts the TOC at \(footer.toc) of \(blobSize) bytes")
        }
        try take(
            footer.toc, of: bytes, range,
            TOCPlace(payloadEnd: footer.toc.offset - header, zstdSize: footer.tocSize))
    }

    /// Takes the compressed TOC from the tail, as far as it is there.
    private mutating func take(
        _ toc: ByteRange, of bytes: [UInt8], _ range: ByteRange, _ place: TOCPlace
    ) throws(LayerFormatError) {
        guard toc.count <= limits.compressedTOC else {
            throw LayerFormatError(.limit, "the TOC of \(layer.digest) has \(toc.count) compressed bytes")
        }
        guard toc.end > range.offset else {
            state = .rest(toc, tail: [], place)
            return
        }
        let end = Int(toc.end - range.offset)
        if toc.offset >= range.offset {
            state = .ready([bytes[Int(toc.offset - range.offset)..<end]], place)
        } else {
            state = .rest(ByteRange(offset: toc.offset, end: range.offset), tail: bytes[..<end], place)
        }
    }

    private func makeIndex(_ pieces: [ArraySlice<UInt8>], _ place: TOCPlace) throws(LayerFormatError) -> LayerIndexBytes
    {
        if let compressedTOCDigest {
            var hasher = DigestHasher()
            for piece in pieces { piece.withUnsafeBytes { hasher.update($0) } }
            try check(hasher.finish(), compressedTOCDigest)
        }
        var loader = TOCLoader(
            blob: layer.digest, blobSize: blobSize, payloadEnd: place.payloadEnd,
            codec: place.zstdSize == nil ? .gzip : .zstd, limits: limits)
        var reader = TOCReader(pieces, zstdSize: place.zstdSize, limits: limits)
        let digest = try reader.readAll(into: &loader)
        if let tocDigest { try check(digest, tocDigest) }
        return try loader.finish()
    }

    private func check(_ digest: Digest, _ expected: Digest) throws(LayerFormatError) {
        guard digest == expected else {
            throw LayerFormatError(
                .tocDigestMismatch,
                "the TOC of \(layer.digest) has the digest \(digest), its annotation says \(expected)")
        }
    }
}
