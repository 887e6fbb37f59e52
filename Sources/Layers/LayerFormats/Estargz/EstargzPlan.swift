public import Base
import Codecs
import LayerIndex

/// The layout of an archive as an eStargz layer, or as the zstd:chunked of stargz-snapshotter: its entries in their new
/// order, cut into members that decode independently (stargz-snapshotter, docs/estargz.md; its `estargz` package must
/// accept the layers).
///
/// A plan does no I/O: it lists the bytes of the old archive that make each member, and writes the table of contents
/// once the caller knows the members' offsets.
public struct EstargzPlan: Sendable {
    /// Some bytes of the new archive.
    public enum Part: Sendable {
        /// They are those of the old one.
        case archive(ByteRange)
        case bytes([UInt8])
    }

    /// A piece of the archive that is compressed alone.
    public struct Member: Sendable {
        public internal(set) var parts: [Part] = []
        public internal(set) var byteCount = 0
        /// The number of leading bytes that are a piece of a file; 0 for a member with headers alone.
        public internal(set) var chunkLength = 0
    }

    /// The place of a written member, and its content.
    public struct Written: Sendable {
        public var offset: UInt64
        /// The SHA-256 of the piece of a file that it begins with.
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
    /// The size at which a member with headers alone ends, so that it fits into memory.
    private static let maximumHeaders = 4 << 20

    /// In the order of the new archive.
    public private(set) var members: [Member] = []
    /// Those of the paths that a start needs which the layer has.
    public let found: Set<[UInt8]>
    private var entries: [ArchivedEntry] = []
    /// By entry.
    private var chunks: [[Chunk]] = []

    /// - Parameters:
    ///   - archived: the entries of the old archive. Of several entries of one name the last counts. Landmarks and the
    ///     table of contents of a layer that is eStargz already are left out.
    ///   - first: paths, without the leading slash, of files that a start needs, in the order of their use. They come
    ///     first and are marked for prefetch. Paths that the layer lacks are skipped.
    ///   - chunkSize: bytes of a file in a member.
    ///   - endsArchive: whether the two blocks that end an archive are part of it. In eStargz they follow the table of
    ///     contents.
    /// - Throws: `unsupported` for a name that a table of contents, which is text, cannot have.
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

    /// The entries that count, those first that are urgent, how many of them are, and which of `first` are there.
    private static func order(
        _ archived: [ArchivedEntry], _ first: [[UInt8]]
    ) throws(LayerFormatError) -> (entries: [ArchivedEntry], urgent: Int, found: Set<[UInt8]>) {
        let names = try archived.map { (item) throws(LayerFormatError) in try name(item.entry.path) }
        var last: [[UInt8]: Int] = [:]
        for (index, name) in names.enumerated() { last[name] = index }
        for name in [TOCNames.prefetchLandmark, TOCNames.noPrefetchLandmark, tocName] { last[name] = nil }
        var order: [Int] = []
        var placed: Set<Int> = []
        func place(_ index: Int) throws(LayerFormatError) {
            guard placed.insert(index).inserted else { return }
            // What it lies in, and what it is a name of, come before it.
            for (end, byte) in names[index].enumerated() where byte == UInt8(ascii: "/") {
                if let parent = last[Array(names[index][..<end])] { try place(parent) }
            }
            if archived[index].entry.kind == .hardlink, let target = last[try name(archived[index].entry.linkTarget)] {
                try place(target)
            }
            order.append(index)
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

    /// A path as a table of contents names it in the end.
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

    /// The text of the table of contents.
    ///
    /// - Parameter written: by member.
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
                // To the end of the file is written as no size at all.
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

    /// The entry of an eStargz archive that holds the table of contents, and the archive's end.
    public static func tocEntry(_ toc: [UInt8]) -> [UInt8] {
        let size = UInt64(toc.count)
        return TarHeader.block(name: tocName, size: size, mode: 0o444) + toc
            + [UInt8](repeating: 0, count: Int(TarLayout.padded(size) - size) + 1024)
    }
}
