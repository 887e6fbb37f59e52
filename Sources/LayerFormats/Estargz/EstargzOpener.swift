public import Base
import LayerIndex

/// Makes a layer index from an eStargz blob (stargz-snapshotter, docs/estargz.md) without doing I/O: it says which bytes
/// it wants, the caller brings them.
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

    private enum State {
        case start
        case tail(count: UInt64)
        case rest(ByteRange, tail: [UInt8], tocCount: Int)
        case external(payloadEnd: UInt64)
        /// The pieces of the compressed TOC.
        case ready([ArraySlice<UInt8>], payloadEnd: UInt64)
        case over
    }

    private let layer: LayerDescription
    private let allowUnverifiedTOC: Bool
    private let limits: EstargzLimits
    private var state = State.start
    private var tocDigest: Digest?
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
    /// A TOC has some 90 compressed bytes an entry, most of them digests: 1 to 2.5 % of layers of a megabyte or more.
    /// A thirty-second takes nearly all of them in; from 1 MiB on, what is asked for in vain would cost more than the
    /// round trip that it might save (30 ms at 250 Mbit/s). Below 64 KiB a request costs its latency only.
    public static func firstRequestSize(blobSize: UInt64) -> UInt64 {
        guard blobSize > 0 else { return 256 << 10 }
        return min(blobSize, max(64 << 10, min(blobSize / 32, 1 << 20)))
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
        case .ready(let pieces, let payloadEnd):
            state = .over
            return .done(try makeIndex(pieces, payloadEnd: payloadEnd))
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
        case .rest(let wanted, let tail, let tocCount):
            state = .over
            guard range.contains(wanted) else {
                throw LayerFormatError(.badResponse, "got \(range) of blob \(layer.digest) for \(wanted)")
            }
            let start = Int(wanted.offset - range.offset)
            state = .ready(
                [bytes[start..<start + Int(wanted.count)], tail[..<tocCount]], payloadEnd: wanted.offset)
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
        state = .ready([compressed[...]], payloadEnd: payloadEnd)
    }

    private mutating func readDescription() throws(LayerFormatError) {
        state = .over
        guard !layer.mediaType.hasSuffix("zstd") else {
            throw LayerFormatError(.notEstargz, "layer \(layer.digest) is \(layer.mediaType.prefix(100))")
        }
        if let annotation = layer.annotations[Self.tocDigestAnnotation] {
            guard let digest = Digest(annotation) else {
                throw LayerFormatError(
                    .unverified, "the TOC digest of \(layer.digest) is no sha256 digest: \(annotation.prefix(100))")
            }
            tocDigest = digest
        } else if !allowUnverifiedTOC {
            throw LayerFormatError(
                .unverified,
                "layer \(layer.digest) has no annotation \(Self.tocDigestAnnotation): it is not an eStargz layer, or "
                    + "its TOC cannot be verified")
        }
    }

    private mutating func receiveTail(_ bytes: [UInt8], _ range: ByteRange) throws(LayerFormatError) {
        guard range.end == blobSize, UInt64(bytes.count) >= min(UInt64(EstargzFooter.maximumSize), blobSize) else {
            throw LayerFormatError(.badResponse, "got \(range), which is not the end of blob \(layer.digest)")
        }
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
            guard end - offset <= limits.compressedTOC else {
                throw LayerFormatError(.limit, "the TOC of \(layer.digest) has \(end - offset) compressed bytes")
            }
            let tocEnd = bytes.count - footerSize
            if offset >= range.offset {
                state = .ready([bytes[Int(offset - range.offset)..<tocEnd]], payloadEnd: offset)
            } else {
                let missing = ByteRange(offset: offset, end: range.offset)
                state = .rest(missing, tail: bytes, tocCount: tocEnd)
            }
        }
    }

    private func makeIndex(
        _ pieces: [ArraySlice<UInt8>], payloadEnd: UInt64
    ) throws(LayerFormatError) -> LayerIndexBytes {
        var loader = TOCLoader(
            blob: layer.digest, blobSize: blobSize, payloadEnd: payloadEnd, limits: limits)
        var reader = TOCReader(pieces, limits: limits)
        let digest = try reader.readAll(into: &loader)
        guard tocDigest == nil || tocDigest == digest else {
            throw LayerFormatError(
                .tocDigestMismatch,
                "the TOC of \(layer.digest) has the digest \(digest), its annotation says "
                    + "\(tocDigest?.description ?? "nothing")")
        }
        return try loader.finish()
    }
}
