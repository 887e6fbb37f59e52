public import Base

/// Options of ``EstargzBlob/make(_:_:edit:)``.
public struct EstargzOptions: Sendable {
    public enum Footer: Sendable, Hashable {
        /// 51 bytes.
        case standard
        /// 47 bytes, CRFS.
        case legacy
        /// 46 bytes; the TOC is not in the blob but in ``EstargzBlob/externalTOC``.
        case external
        /// No footer: an ordinary gzip layer whose members happen to be many.
        case none
    }

    public enum Landmark: Sendable, Hashable {
        case none
        /// The prefetch landmark stands before the entry with this index.
        case prefetch(before: Int)
        /// The no-prefetch landmark, first.
        case noPrefetch
    }

    /// Uncompressed bytes a chunk.
    public var chunkSize = 4 << 20
    /// A new stream is opened only once this many compressed bytes lie in the one before; 0 opens one for every chunk.
    public var minimumChunkSize = 0
    public var level: Int32 = 6
    public var footer = Footer.standard
    public var landmark = Landmark.none
    /// Put before every path: "", "./", "/" and "../" all occur.
    public var prefix = ""
    /// Further members of the TOC's top-level object, as JSON text.
    public var extraMembers: [String] = []

    public init() {}
}

/// A valid eStargz layer blob (stargz-snapshotter, docs/estargz.md), or one that a test has broken on purpose.
public struct EstargzBlob: Sendable {
    /// The root-level file that ends the prefetch range.
    public static let prefetchLandmark = ".prefetch.landmark"
    /// The root-level file that asks for no prefetch.
    public static let noPrefetchLandmark = ".no.prefetch.landmark"
    /// The key of the annotation that names the digest of the TOC.
    public static let tocDigestAnnotation = "containerd.io/snapshot/stargz/toc.digest"

    public let bytes: [UInt8]
    /// The digest of `bytes`.
    public let digest: Digest
    /// The digest of `tocJSON`.
    public let tocDigest: Digest
    public let tocJSON: [UInt8]
    /// The entries of the TOC.
    public let toc: [TOCEntry]
    /// The offset of the compressed TOC; that of the footer when the TOC is external.
    public let tocOffset: Int
    /// The compressed TOC of an external-TOC blob: the layer blob of the TOC image.
    public let externalTOC: [UInt8]?
    /// The offset of each gzip member with payload.
    public let streamOffsets: [Int]
    /// The tar stream that the blob decompresses to.
    public let tar: [UInt8]
    /// The annotations of this layer in a manifest.
    public var annotations: [String: String] { [Self.tocDigestAnnotation: tocDigest.description] }

    /// A blob with `entries`, as stargz-snapshotter's writer lays it out.
    ///
    /// - Parameter edit: changes the TOC before it is written; the tar stream stays as it was.
    public static func make(
        _ entries: [TarEntry], _ options: EstargzOptions = EstargzOptions(),
        edit: (inout [TOCEntry]) -> Void = { _ in }
    ) -> EstargzBlob {
        var layout = EstargzLayout(options)
        var entries = entries.map { $0.prefixed(options.prefix) }
        switch options.landmark {
        case .none: break
        case .noPrefetch: entries.insert(.file(options.prefix + noPrefetchLandmark, [0x0f]), at: 0)
        case .prefetch(let index): entries.insert(.file(options.prefix + prefetchLandmark, [0x0f]), at: index)
        }
        for entry in entries { layout.append(entry) }
        layout.closeStream()
        var toc = layout.toc
        edit(&toc)
        return close(
            payload: layout.bytes, tar: layout.tar, streams: layout.streamOffsets, toc: toc,
            json: JSONText.toc(toc, extra: options.extraMembers), options)
    }

    /// This blob with another TOC text in place of its own, whatever that says.
    public func replacingTOC(_ json: [UInt8], _ options: EstargzOptions = EstargzOptions()) -> EstargzBlob {
        Self.close(
            payload: Array(bytes[..<tocOffset]), tar: [], streams: streamOffsets, toc: toc, json: json, options)
    }

    private static func close(
        payload: [UInt8], tar: [UInt8], streams: [Int], toc: [TOCEntry], json: [UInt8], _ options: EstargzOptions
    ) -> EstargzBlob {
        let tocEntry = TarEntry.file("stargz.index.json", json)
        let tocTar = TarWriter.archive([tocEntry])
        let member = Compressed.gzip(tocTar, level: options.level)
        var bytes = payload
        var external: [UInt8]?
        switch options.footer {
        case .standard: bytes += member + footer(tocOffset: UInt64(payload.count))
        case .legacy: bytes += member + legacyFooter(tocOffset: UInt64(payload.count))
        case .none: break
        case .external:
            bytes += Compressed.gzip([UInt8](repeating: 0, count: 1024))
            external = member
        }
        let tocOffset = options.footer == .external ? bytes.count : payload.count
        if options.footer == .external { bytes += externalFooter() }
        return EstargzBlob(
            bytes: bytes, digest: .of(bytes), tocDigest: .of(json), tocJSON: json, toc: toc, tocOffset: tocOffset,
            externalTOC: external, streamOffsets: streams, tar: tar + tocTar)
    }

    /// The 51-byte footer.
    public static func footer(tocOffset: UInt64) -> [UInt8] {
        let extra = Array(hexadecimal(tocOffset).utf8) + Array("STARGZ".utf8)
        return emptyMember(extra: Array("SG".utf8) + [0x16, 0] + extra)
    }

    /// The 47-byte footer of CRFS.
    public static func legacyFooter(tocOffset: UInt64) -> [UInt8] {
        emptyMember(extra: Array(hexadecimal(tocOffset).utf8) + Array("STARGZ".utf8))
    }

    /// The 46-byte footer of a blob whose TOC is elsewhere.
    public static func externalFooter() -> [UInt8] {
        emptyMember(extra: Array("SG".utf8) + [0x11, 0] + Array("STARGZEXTERNALTOC".utf8))
    }

    /// An empty gzip member, stored, with the extra field `extra`.
    public static func emptyMember(extra: [UInt8]) -> [UInt8] {
        [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, UInt8(extra.count & 0xff), UInt8(extra.count >> 8)] + extra
            + [1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
