public import Base
import Codecs
import LayerIndex

/// A plan for rewriting a layer's archive as an eStargz layer, or as a zstd:chunked layer in stargz-snapshotter's
/// dialect.
///
/// A plan puts the entries in a new order and cuts them into members that decode independently (stargz-snapshotter,
/// docs/estargz.md). The `estargz` package of stargz-snapshotter must accept the resulting layers.
///
/// A plan does no I/O. It lists the bytes that make up each member: ranges of the old archive (the layer's uncompressed
/// tar archive before the rewrite), and new bytes such as padding. Once the caller knows the members' offsets, the plan
/// writes the table of contents.
public struct EstargzPlan: Sendable {
    /// A sequence of bytes in the new archive.
    public enum Part: Sendable {
        /// A range of the old archive, copied unchanged.
        case archive(ByteRange)
        case bytes([UInt8])
    }

    /// A piece of the new archive that is compressed independently.
    public struct Member: Sendable {
        public internal(set) var parts: [Part] = []
        public internal(set) var byteCount = 0
        /// The number of bytes of file content at the start of the member; 0 for a member with only headers.
        public internal(set) var chunkLength = 0
    }

    /// The offset of a written member in the new blob, and the digest of its file content.
    public struct Written: Sendable {
        public var offset: UInt64
        /// The SHA-256 of the file content that the member begins with; `nil` if it has only headers.
        public var chunkDigest: Digest?

        public init(offset: UInt64, chunkDigest: Digest?) {
            self.offset = offset
            self.chunkDigest = chunkDigest
        }
    }

    private struct Chunk {
        let offset: UInt64
        let length: UInt64
        let member: Int
    }

    private static let tocName = TOCNames.toc
    private static let landmark: [UInt8] = [0x0f]
    /// The number of bytes of tar headers and padding at which a member is full. The plan then begins a new member, so
    /// that every member fits into memory.
    private static let maximumHeaders = 4 << 20

    /// The members in the order of the new archive.
    public private(set) var members: [Member] = []
    /// The paths in the initializer's `first` that the layer contains.
    public let found: Set<[UInt8]>
    private var entries: [ArchivedEntry] = []
    /// The chunks of each entry, in the order of `entries`.
    private var chunks: [[Chunk]] = []

    /// - Parameters:
    ///   - archived: the entries of the old archive. If several entries have the same name, the last one counts. If the
    ///     layer is eStargz already, the plan leaves out its prefetch landmarks and its table of contents.
    ///   - first: paths, without the leading slash, of files that a container start needs, in the order of use. These
    ///     files come first in the new archive, and a landmark after them marks them for prefetch. Paths that the layer
    ///     lacks are skipped.
    ///   - chunkSize: the maximum number of content bytes in one member.
    ///   - endsArchive: true to include the two zero blocks that end a tar archive. Pass false for eStargz: there,
    ///     ``tocEntry(_:)`` adds the zero blocks after the table of contents.
    /// - Throws: `unsupported` if a name or a link target is not UTF-8, because a table of contents is text.
    ///   `badArchive` if a path is invalid.
    public init(
        _ archived: [ArchivedEntry], first: [[UInt8]], chunkSize: Int, endsArchive: Bool
    ) throws(LayerFormatError) {
        let (ordered, urgent, found) = try Self.order(archived, first)
        self.found = found
        for item in ordered[..<urgent] { add(item, chunkSize) }
        addLandmark(urgent > 0 ? TOCNames.prefetchLandmark : TOCNames.noPrefetchLandmark)
        for item in ordered[urgent...] { add(item, chunkSize) }
        if endsArchive { append(.bytes([UInt8](repeating: 0, count: 1024))) }
    }

    // MARK: - Order

    /// Returns the entries to write, the number of urgent entries, and the paths of `first` that exist. An entry with
    /// such a path is urgent. So are its parent directories and, if the entry is a hard link, the link's target. The
    /// urgent entries come first.
    private static func order(
        _ archived: [ArchivedEntry], _ first: [[UInt8]]
    ) throws(LayerFormatError) -> (entries: [ArchivedEntry], urgent: Int, found: Set<[UInt8]>) {
        let names = try archived.map { (item) throws(LayerFormatError) in
            try requireText(item.entry)
            return try name(item.entry.path)
        }
        var last: [[UInt8]: Int] = [:]
        for (index, name) in names.enumerated() { last[name] = index }
        for name in [TOCNames.prefetchLandmark, TOCNames.noPrefetchLandmark, tocName] { last[name] = nil }
        var order: [Int] = []
        var placed: Set<Int> = []
        /// Returns the parent directories of an entry and the target of its hard link, which come before the entry.
        func earlier(_ index: Int) throws(LayerFormatError) -> [Int] {
            var entries: [Int] = []
            for (end, byte) in names[index].enumerated() where byte == UInt8(ascii: "/") {
                if let parent = last[Array(names[index][..<end])] { entries.append(parent) }
            }
            if archived[index].entry.kind == .hardlink, let target = last[try name(archived[index].entry.linkTarget)] {
                entries.append(target)
            }
            return entries
        }
        func place(_ index: Int) throws(LayerFormatError) {
            guard placed.insert(index).inserted else { return }
            // A chain of hard links may be as long as the archive, so there is no recursion.
            var pending = [(index: index, earlier: try earlier(index)[...])]
            while let entry = pending.last {
                guard let next = entry.earlier.first else {
                    order.append(entry.index)
                    pending.removeLast()
                    continue
                }
                pending[pending.count - 1].earlier.removeFirst()
                if placed.insert(next).inserted { pending.append((next, try earlier(next)[...])) }
            }
        }
        var found: Set<[UInt8]> = []
        for path in first {
            guard let index = last[path] else { continue }
            found.insert(path)
            try place(index)
        }
        let urgent = order.count
        for index in archived.indices where last[names[index]] == index && !placed.contains(index) {
            order.append(index)
        }
        return (order.map { archived[$0] }, urgent, found)
    }

    /// Throws `unsupported` if the entry's link target or the name of one of its extended attributes is not UTF-8.
    private static func requireText(_ entry: LayerEntry) throws(LayerFormatError) {
        for text in [entry.linkTarget] + entry.xattrs.map(\.name) where String(validating: text, as: UTF8.self) == nil {
            throw LayerFormatError(
                .unsupported,
                "\(LayerFormatError.printable(entry.path)): \(LayerFormatError.printable(text)) is not UTF-8 and "
                    + "cannot stand in a table of contents")
        }
    }

    /// Returns the cleaned form of a path (``EntryPath``). The plan compares entries by this form. Throws `unsupported`
    /// if the path is not UTF-8.
    private static func name(_ path: [UInt8]) throws(LayerFormatError) -> [UInt8] {
        guard String(validating: path, as: UTF8.self) != nil else {
            throw LayerFormatError(
                .unsupported,
                "\(LayerFormatError.printable(path)): a name that is not UTF-8 cannot stand in a table of contents")
        }
        var cleaned = EntryPath(limits: .standard)
        do throws(LayerIndexError) {
            try path.withUnsafeBufferPointer { (bytes) throws(LayerIndexError) in
                try cleaned.clean(UnsafeRawBufferPointer(bytes))
            }
        } catch {
            throw LayerFormatError(.badArchive, LayerFormatError.printable(path), cause: error)
        }
        return Array(cleaned.names.map { path[$0] }.joined(separator: [UInt8(ascii: "/")]))
    }

    // MARK: - Members

    private mutating func append(_ part: Part) {
        let count: Int
        switch part {
        case .archive(let range): count = Int(range.count)
        case .bytes(let bytes): count = bytes.count
        }
        guard count > 0 else { return }
        let isFull = members.last.map { $0.byteCount >= $0.chunkLength + Self.maximumHeaders }
        if isFull ?? true {
            members.append(Member())
        }
        members[members.count - 1].parts.append(part)
        members[members.count - 1].byteCount += count
    }

    private mutating func beginChunk(_ part: Part, length: Int) {
        members.append(Member(parts: [part], byteCount: length, chunkLength: length))
    }

    private mutating func add(_ item: ArchivedEntry, _ chunkSize: Int) {
        append(.archive(item.header))
        var pieces: [Chunk] = []
        var offset = item.content.offset
        while offset < item.content.end {
            let end = min(offset + UInt64(chunkSize), item.content.end)
            beginChunk(.archive(ByteRange(offset: offset, end: end)), length: Int(end - offset))
            pieces.append(
                Chunk(offset: offset - item.content.offset, length: end - offset, member: members.count - 1))
            offset = end
        }
        pad(item.content.count)
        entries.append(item)
        chunks.append(pieces)
    }

    private mutating func addLandmark(_ name: [UInt8]) {
        append(.bytes(TarHeader.block(name: name, size: UInt64(Self.landmark.count), mode: 0o444)))
        beginChunk(.bytes(Self.landmark), length: Self.landmark.count)
        pad(UInt64(Self.landmark.count))
        var entry = LayerEntry(path: name)
        entry.attributes.mode = 0o444
        entry.attributes.size = UInt64(Self.landmark.count)
        let nowhere = ByteRange(offset: 0, end: 0)
        entries.append(
            ArchivedEntry(entry: entry, header: nowhere, content: nowhere, digest: Digest.of(Self.landmark)))
        chunks.append([Chunk(offset: 0, length: UInt64(Self.landmark.count), member: members.count - 1)])
    }

    private mutating func pad(_ size: UInt64) {
        append(.bytes([UInt8](repeating: 0, count: Int(TarLayout.padded(size) - size))))
    }

    // MARK: - The table of contents

    /// Returns the JSON text of the table of contents.
    ///
    /// - Parameter written: the written members, in the order of ``members``.
    public func tableOfContents(_ written: [Written]) throws(LayerFormatError) -> [UInt8] {
        guard written.count == members.count else {
            throw LayerFormatError(.badResponse, "\(written.count) members were written of \(members.count)")
        }
        var writer = TOCWriter()
        for (item, pieces) in zip(entries, chunks) {
            var entry = TableOfContents.Entry(item.entry)
            entry.digest = item.digest
            guard !pieces.isEmpty else {
                writer.add(entry)
                continue
            }
            for (number, piece) in pieces.enumerated() {
                entry.offset = written[piece.member].offset
                entry.chunkOffset = piece.offset
                // The chunk that reaches to the end of the file has no size in the table of contents.
                entry.chunkSize = number == pieces.count - 1 ? 0 : piece.length
                entry.chunkDigest = written[piece.member].chunkDigest
                writer.add(entry)
                guard number == 0 else { continue }
                entry = TableOfContents.Entry()
                entry.type = "chunk"
                entry.name = item.entry.path
            }
        }
        return writer.finish()
    }

    /// Returns the tar entry of an eStargz layer's table of contents, followed by the two zero blocks that end the
    /// archive.
    ///
    /// - Parameter toc: the JSON text of the table of contents.
    public static func tocEntry(_ toc: [UInt8]) -> [UInt8] {
        let size = UInt64(toc.count)
        return TarHeader.block(name: tocName, size: size, mode: 0o444) + toc
            + [UInt8](repeating: 0, count: Int(TarLayout.padded(size) - size) + 1024)
    }
}
