public import Base

/// Options of ``EstargzBlob/make(_:_:edit:)``.
public struct EstargzOptions: Sendable {
    public enum Footer: Sendable, Hashable {
        /// A footer of 51 bytes.
        case standard
        /// A footer of 47 bytes, as in CRFS.
        case legacy
        /// A footer of 46 bytes. The TOC is not in the blob but in ``EstargzBlob/externalTOC``.
        case external
        /// No footer: an ordinary gzip layer that has many members.
        case none
    }

    public enum Landmark: Sendable, Hashable {
        case none
        /// The prefetch landmark, before the entry with this index.
        case prefetch(before: Int)
        /// The no-prefetch landmark, before all entries.
        case noPrefetch
    }

    /// The number of uncompressed bytes per chunk.
    public var chunkSize = 4 << 20
    /// The number of compressed bytes in a stream after which a new one is opened; 0 opens one for every chunk.
    public var minimumChunkSize = 0
    public var level: Int32 = 6
    public var footer = Footer.standard
    public var landmark = Landmark.none
    /// The text before every path: "", "./", "/" and "../" all occur in practice.
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
    /// The offset of the compressed TOC; the offset of the footer if the TOC is external.
    public let tocOffset: Int
    /// The compressed TOC of an external-TOC blob: the layer blob of the TOC image.
    public let externalTOC: [UInt8]?
    /// The offsets of the gzip members with payload.
    public let streamOffsets: [Int]
    /// The tar stream that the blob decompresses to.
    public let tar: [UInt8]
    /// The annotations of this layer in a manifest.
    public var annotations: [String: String] { [Self.tocDigestAnnotation: tocDigest.description] }

    /// Creates a blob with `entries`, in the layout of stargz-snapshotter's writer.
    ///
    /// - Parameter edit: changes the TOC before it is written; the tar stream stays the same.
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

    /// Returns this blob with `json` in place of its TOC, valid or not.
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

    /// Returns the 51-byte footer.
    public static func footer(tocOffset: UInt64) -> [UInt8] {
        let extra = Array(hexadecimal(tocOffset).utf8) + Array("STARGZ".utf8)
        return emptyMember(extra: Array("SG".utf8) + [0x16, 0] + extra)
    }

    /// Returns the 47-byte footer of CRFS.
    public static func legacyFooter(tocOffset: UInt64) -> [UInt8] {
        emptyMember(extra: Array(hexadecimal(tocOffset).utf8) + Array("STARGZ".utf8))
    }

    /// Returns the 46-byte footer of a blob whose TOC is elsewhere.
    public static func externalFooter() -> [UInt8] {
        emptyMember(extra: Array("SG".utf8) + [0x11, 0] + Array("STARGZEXTERNALTOC".utf8))
    }

    /// Returns an empty, stored gzip member with the extra field `extra`.
    public static func emptyMember(extra: [UInt8]) -> [UInt8] {
        [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, UInt8(extra.count & 0xff), UInt8(extra.count >> 8)] + extra
            + [1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
