public import Base
import LayerIndex

/// An opener of a layer with a table of contents (TOC): eStargz or zstd:chunked.
///
/// The first request asks for the tail of the blob, which usually contains the TOC. If a part of the TOC is missing, a
/// second request asks for exactly that part.
public struct TOCOpener: LayerOpener {
    /// The annotation whose value is the digest of the TOC's JSON text.
    public static let digestAnnotation = "containerd.io/snapshot/stargz/toc.digest"

    private enum State {
        case start
        case tail(count: UInt64)
        /// The state while a part of the TOC is missing: that part's range in the blob, and the rest of the TOC from
        /// the blob's tail.
        case rest(ByteRange, tail: ArraySlice<UInt8>, TOCPlace)
        case external(payloadEnd: UInt64)
        /// The pieces of the complete compressed TOC.
        case ready([ArraySlice<UInt8>], TOCPlace)
        case over
    }

    /// The facts about a TOC that the blob's footer states. `payloadEnd` is the offset in the blob at which the layer's
    /// data ends. For a TOC in a zstd frame, `zstdSize` is the size of the TOC's JSON text in bytes.
    private struct TOCPlace {
        let payloadEnd: UInt64
        var zstdSize: UInt64?
    }

    private let layer: LayerDescription
    private let dialect: any TOCDialect
    private let options: LayerOpenOptions
    private var limits: LayerFormatLimits
    private var state = State.start
    private var tocDigest: Digest?
    private var compressedTOCDigest: Digest?
    private var blobSize: UInt64

    init(_ layer: LayerDescription, dialect: any TOCDialect, options: LayerOpenOptions) {
        self.layer = layer
        self.dialect = dialect
        self.options = options
        limits = options.limits
        blobSize = layer.size
    }

    /// Returns the size in bytes of the first request, which asks for the end of the blob.
    ///
    /// The result is 1/128 of the blob (at most 1 MiB) or 1/100 of the blob (at most 64 KiB), whichever is larger. It
    /// is at least 32 KiB, because a smaller request is not faster. A blob of less than 32 KiB is requested as a whole.
    /// If `blobSize` is 0, the result is 256 KiB.
    ///
    /// A request of this size covers nearly all TOCs. A TOC has about 90 compressed bytes per entry, most of them
    /// digests. In a layer of a megabyte or more, the TOC takes 0.05 to 0.8 %; in a smaller layer, it takes a larger
    /// share. Unneeded bytes delay the container's first bytes, and missing bytes cost a round trip.
    ///
    /// - Parameter blobSize: the size of the blob in bytes; 0 if unknown.
    public static func firstRequestSize(blobSize: UInt64) -> UInt64 {
        guard blobSize > 0 else { return 256 << 10 }
        return min(blobSize, max(32 << 10, min(blobSize / 100, 64 << 10), min(blobSize / 128, 1 << 20)))
    }

    public mutating func next(by deadline: WorkDeadline) throws(LayerFormatError) -> OpenStep {
        switch state {
        case .start:
            try readDescription()
            let count = Self.firstRequestSize(blobSize: layer.size)
            state = .tail(count: count)
            return .read(.suffix(count))
        case .tail(let count): return .read(.suffix(count))
        case .rest(let range, _, _): return .read(.range(range))
        case .external: return .readCompanion(.externalTOC)
        case .ready(let pieces, let place):
            state = .over
            return .done(try makeIndex(pieces, place, by: deadline))
        case .over: throw LayerFormatError(.badResponse, "nothing more to do for \(layer.digest)")
        }
    }

    public var memory: OpeningMemory? {
        guard case .ready(let pieces, let place) = state else { return nil }
        let compressed = pieces.reduce(UInt64(0)) { $0.plus(UInt64($1.count)) }
        // RFC 1952 §2.3.1: a member ends with the size of its data. Nothing has decoded the member yet. If the size is
        // wrong, the opener gets less memory than it needs, and refuses the layer.
        let end = pieces.last.map { Array($0.suffix(4)) } ?? []
        let size = place.zstdSize ?? end.withUnsafeBytes { $0.littleEndian(UInt32.self, at: 0) }.map { UInt64($0) }
        let longest = limits.textSize(compressed: compressed)
        // Other bytes may follow the member. A text is larger than its compressed form.
        let text = min(size.flatMap { $0 >= compressed ? $0 : nil } ?? longest, longest)
        // An entry of Go's JSON takes 150 to 450 bytes, and 400 to 800 in memory until the index is finished.
        return OpeningMemory(
            least: OpeningMemory.base.plus(compressed).plus(text / 4),
            most: OpeningMemory.base.plus(compressed).plus(text.times(3)))
    }

    public mutating func limitMemory(to bytes: UInt64) {
        guard case .ready(let pieces, _) = state else { return }
        let compressed = pieces.reduce(UInt64(0)) { $0.plus(UInt64($1.count)) }
        // Half of the base is for the window of the text.
        let rest = bytes - min(bytes, compressed.plus(OpeningMemory.base / 2))
        limits.index.buildMemory = min(limits.index.buildMemory, Int(clamping: rest))
    }

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
            // If anything below throws, the opener cannot continue.
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

    /// Accepts the layer blob of the TOC image: a gzip-compressed tar archive that contains only the TOC.
    public mutating func receiveCompanion(_ compressed: [UInt8]) throws(LayerFormatError) {
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

    private mutating func readDescription() throws(LayerFormatError) {
        state = .over
        tocDigest = try digest([Self.digestAnnotation])
        compressedTOCDigest = try digest(dialect.compressedDigestAnnotations)
        guard tocDigest != nil || compressedTOCDigest != nil || options.allowUnverifiedTOC else {
            let names = ([Self.digestAnnotation] + dialect.compressedDigestAnnotations.prefix(1)).joined(
                separator: " or ")
            throw LayerFormatError(
                .unverified,
                "layer \(layer.digest) has no annotation \(names): it is not \(dialect.name), or its TOC cannot be verified"
            )
        }
    }

    /// Returns the digest in the layer's annotation with a key from `keys`; `nil` if there is none. If the layer has
    /// several of these annotations, the first key in `keys` counts. Throws `unverified` if the value is no digest.
    private func digest(_ keys: [String]) throws(LayerFormatError) -> Digest? {
        guard let annotation = Self.annotation(of: layer, keys: keys) else { return nil }
        guard let digest = Digest(annotation) else {
            throw LayerFormatError(
                .unverified, "the TOC digest of \(layer.digest) is no sha256 digest: \(annotation.prefix(100))")
        }
        return digest
    }

    /// Returns the digest in the layer's annotation with a key from `keys`; `nil` if there is none, or if the value is
    /// no digest. If the layer has several of these annotations, the first key in `keys` counts.
    static func digest(in layer: LayerDescription, keys: [String]) -> Digest? {
        annotation(of: layer, keys: keys).flatMap { Digest($0) }
    }

    private static func annotation(of layer: LayerDescription, keys: [String]) -> String? {
        keys.lazy.compactMap { layer.annotations[$0] }.first
    }

    private mutating func receiveTail(_ bytes: [UInt8], _ range: ByteRange) throws(LayerFormatError) {
        guard range.end == blobSize, UInt64(bytes.count) >= min(UInt64(dialect.longestFooter), blobSize) else {
            throw LayerFormatError(.badResponse, "got \(range), which is not the end of blob \(layer.digest)")
        }
        let (dialect, digest, size) = (dialect, layer.digest, blobSize)
        let location = try bytes.withUnsafeBufferPointer { (tail) throws(LayerFormatError) in
            try dialect.locate(in: UnsafeRawBufferPointer(tail), of: digest, size: size)
        }
        switch location {
        case nil: throw LayerFormatError(.otherFormat, "blob \(layer.digest) has no footer of \(dialect.name)")
        case .outside(let payloadEnd): state = .external(payloadEnd: payloadEnd)
        case .inside(let toc, let payloadEnd, let zstdSize):
            try take(toc, of: bytes, at: range, place: TOCPlace(payloadEnd: payloadEnd, zstdSize: zstdSize))
        }
    }

    /// Keeps the part of the compressed TOC that the blob's tail contains. If a part is missing, the next step requests
    /// it.
    ///
    /// - Parameters:
    ///   - toc: the range of the TOC in the blob.
    ///   - bytes: the tail, which covers `range` of the blob.
    private mutating func take(
        _ toc: ByteRange, of bytes: [UInt8], at range: ByteRange, place: TOCPlace
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

    private func makeIndex(
        _ pieces: [ArraySlice<UInt8>], _ place: TOCPlace, by deadline: WorkDeadline
    ) throws(LayerFormatError) -> LayerIndexBytes {
        if let compressedTOCDigest {
            var hasher = DigestHasher()
            for piece in pieces { piece.withUnsafeBytes { hasher.update($0) } }
            try check(hasher.finish(), compressedTOCDigest)
        }
        var loader = TOCLoader(
            blob: layer.digest, blobSize: blobSize, payloadEnd: place.payloadEnd,
            codec: place.zstdSize == nil ? .gzip : .zstd, limits: limits, by: deadline)
        var reader = TOCReader(pieces, zstdSize: place.zstdSize, limits: limits, by: deadline)
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
