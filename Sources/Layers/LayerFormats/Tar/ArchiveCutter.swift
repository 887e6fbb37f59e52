public import Base
public import LayerIndex

/// A reader of a layer's archive that cuts the files into the same pieces as the layer's index: its chunks.
///
/// The index may not tell for sure how a file is cut (``FileCuts``). Such a file is cut in several ways at once.
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class ArchiveCutter {
    /// A part of an archive. The parts come in the archive's order.
    public enum Event {
        /// The start of an entry, whose ``LayerEntry/pieces`` are empty. `ways` is the number of ways in which the
        /// entry's content is cut: 0 if it has none.
        case entry(LayerEntry, ways: Int)
        /// The next bytes of the current piece, never empty. Each way gets all bytes of the file. The buffer is valid
        /// only during the call that passes this event.
        case content(UnsafeRawBufferPointer, way: Int)
        /// The end of the current piece of a way.
        case pieceEnd(way: Int)
        /// A whole piece of a sparse file's hole: this many zeros that the archive does not contain.
        case hole(UInt64, way: Int)
        /// The end of an entry, also of an entry without content.
        case end
    }

    /// One way to cut the current file.
    private struct Way {
        /// The numbers of the index's chunks whose lengths the next pieces get.
        var ahead: Range<Int>
        /// The number of bytes that the current piece lacks; `nil` between pieces.
        var left: UInt64?
        /// The number of pieces in holes so far.
        var holeCount = 0
    }

    /// The length in bytes of pieces to which no chunk of the index corresponds.
    private static let unknownChunk: UInt64 = 4 << 20
    /// The archive bytes that are accepted beside those that the index accounts for: padding, and files that later
    /// entries replace.
    private static let spareBytes: UInt64 = 64 << 20
    /// The maximum number of pieces in the holes of a file, in addition to the index's chunks.
    private static let maximumExtraHoles = 65_536

    private let tree: TreeImage
    private let chunks: ChunkTable
    private let skipsDescription: Bool
    /// The maximum size of the archive in bytes. A few compressed bytes may decode to very many.
    public let maximumBytes: UInt64
    private var byteCount: UInt64 = 0
    private var reader = TarReader()
    private var finder: EntryFinder
    private var cleaner = EntryPath(limits: .standard)
    /// The boundaries of the index's files; `nil` until the first file.
    private var cuts: FileCuts?
    private var ways: [Way] = []
    private var isSkipping = false
    /// The hashes of the paths of all files so far.
    private var paths: Set<Int> = []
    /// True if the boundaries of a file had to be guessed, because the index has another file at its path, or because a
    /// path occurs twice.
    private(set) var isGuessing = false

    /// - Parameters:
    ///   - tree: the tree in the index.
    ///   - chunks: the chunk table in the index.
    ///   - skipsDescription: true to skip the files that only describe the layer (``TOCNames``). An index that was
    ///     built from a table of contents lacks them.
    public init(tree: TreeImage, chunks: ChunkTable, skipsDescription: Bool) {
        self.tree = tree
        self.chunks = chunks
        self.skipsDescription = skipsDescription
        finder = EntryFinder(tree)
        maximumBytes = Self.maximumSize(tree, chunks)
    }

    /// Returns the maximum size in bytes of an archive that the index may describe.
    ///
    /// The content counts twice, because an archive also has the files that its later entries replace. An entry's
    /// headers and padding take up to 4 KiB beside its names and extended attributes. The tree has these names and
    /// attributes, and an archive may have them in several headers, and encoded.
    private static func maximumSize(_ tree: TreeImage, _ chunks: ChunkTable) -> UInt64 {
        spareBytes.plus(chunks.contentSize.times(2)).plus(tree.inodeCount.times(4096))
            .plus(UInt64(tree.byteCount).times(4))
    }

    /// Reads the next bytes of the archive, in pieces of any size. `sink` receives the events. It must not call
    /// ``push(_:_:)``.
    ///
    /// - Throws: an error if the archive is damaged or not supported, or if the index is corrupt; errors of `sink`;
    ///   `limit` if the archive has far more bytes than the index accounts for. All later calls throw that, too.
    public func push(
        _ archive: UnsafeRawBufferPointer, _ sink: (Event) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        guard UInt64(archive.count) <= maximumBytes - byteCount else {
            byteCount = maximumBytes
            throw LayerFormatError(.limit, "the archive has over \(maximumBytes) bytes, far more than its index")
        }
        byteCount += UInt64(archive.count)
        try reader.push(archive) { (event, _) throws(LayerFormatError) in
            switch event {
            case .entry(let entry, _): try begin(entry, sink)
            case .content(let bytes): try content(bytes, sink)
            case .hole(let count): try hole(count, sink)
            case .end:
                for way in ways.indices { try endPiece(way, sink) }
                ways = []
                if !isSkipping { try sink(.end) }
            }
        }
    }

    /// Verifies that the archive is complete (``TarReader/finish()``).
    public func finish() throws(LayerFormatError) {
        try reader.finish()
    }

    /// Returns true if the index has a file of this size with just these chunks (``FileCuts/hasFile(ofSize:_:)``).
    func hasFile(ofSize size: UInt64, _ digests: [Digest]) -> Bool {
        cuts?.hasFile(ofSize: size, digests) == true
    }

    // MARK: - Entries

    private func begin(
        _ entry: LayerEntry, _ sink: (Event) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        (ways, isSkipping) = ([], false)
        if entry.kind == .regular {
            if skipsDescription, try isDescription(entry.path) {
                isSkipping = true
                return
            }
            // The archive has fewer bytes of a sparse file.
            if entry.attributes.size > 0 { ways = try ways(toCut: entry) }
        }
        try sink(.entry(entry, ways: ways.count))
    }

    private func ways(toCut entry: LayerEntry) throws(LayerFormatError) -> [Way] {
        let size = entry.attributes.size
        do throws(LayerIndexError) {
            if cuts == nil { cuts = try FileCuts(tree, chunks) }
            let own = try chunks(ofFile: entry)
            if !paths.insert(entry.path.hashValue).inserted || own == nil { isGuessing = true }
            let found = cuts?.cuts(ofSize: size, first: own).map { Way(ahead: $0) } ?? []
            // The index has no file of this size, because a later entry replaces the file. Then any boundaries will do.
            return found.isEmpty ? [Way(ahead: 0..<0)] : found
        } catch {
            throw LayerFormatError(index: error, entry.path)
        }
    }

    /// Returns the chunks of the file at the entry's path in the index; `nil` if this is not the entry's file.
    private func chunks(ofFile entry: LayerEntry) throws(LayerIndexError) -> Range<Int>? {
        // A path that no longer leads anywhere belongs to a file that a later entry replaces.
        guard let inode = try? finder.inode(of: entry.path), try tree.attributes(inode).kind == .regular,
            let content = try tree.content(inode), content.range.count == entry.attributes.size
        else { return nil }
        return chunks.chunks(overlapping: content.range)
    }

    /// Returns true if the path is one of ``TOCNames`` in the root directory.
    private func isDescription(_ bytes: [UInt8]) throws(LayerFormatError) -> Bool {
        let names = [TOCNames.toc, TOCNames.prefetchLandmark, TOCNames.noPrefetchLandmark]
        guard names.contains(where: { bytes.suffix($0.count).elementsEqual($0) }) else { return false }
        do throws(LayerIndexError) {
            try bytes.withUnsafeBufferPointer { (bytes) throws(LayerIndexError) in
                try cleaner.clean(UnsafeRawBufferPointer(bytes))
            }
        } catch {
            throw LayerFormatError(index: error, bytes)
        }
        guard cleaner.names.count == 1, let name = cleaner.names.first else { return false }
        return names.contains { bytes[name].elementsEqual($0) }
    }

    // MARK: - Content

    /// Returns the length of the next piece of a way.
    private func nextLength(_ way: Int) -> UInt64 {
        guard let next = ways[way].ahead.first else { return Self.unknownChunk }
        ways[way].ahead = ways[way].ahead.dropFirst()
        return chunks.chunk(next).content.count
    }

    private func endPiece(
        _ way: Int, _ sink: (Event) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        guard ways[way].left != nil else { return }
        ways[way].left = nil
        try sink(.pieceEnd(way: way))
    }

    private func content(
        _ bytes: UnsafeRawBufferPointer, _ sink: (Event) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        for way in ways.indices {
            var rest = bytes
            while !rest.isEmpty {
                let left = ways[way].left ?? nextLength(way)
                let taken = UnsafeRawBufferPointer(rebasing: rest.prefix(Int(clamping: left)))
                rest = UnsafeRawBufferPointer(rebasing: rest[taken.count...])
                ways[way].left = left - UInt64(taken.count)
                if !taken.isEmpty { try sink(.content(taken, way: way)) }
                if left == UInt64(taken.count) { try endPiece(way, sink) }
            }
        }
    }

    private func hole(
        _ count: UInt64, _ sink: (Event) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        for way in ways.indices {
            try endPiece(way, sink)
            var rest = count
            while rest > 0 {
                let length = min(rest, nextLength(way))
                ways[way].holeCount += 1
                guard ways[way].holeCount <= chunks.chunkCount + Self.maximumExtraHoles else {
                    throw LayerFormatError(.limit, "a sparse file of more pieces than the index has chunks")
                }
                try sink(.hole(length, way: way))
                rest -= length
            }
        }
    }
}
