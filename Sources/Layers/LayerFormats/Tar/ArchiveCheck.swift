public import Base
public import LayerIndex

/// A check of a layer's index against the layer's uncompressed archive.
///
/// The check builds the tree of the archive, and computes the digests of the same chunks that the index has. Then it
/// compares everything: the trees, and the chunks of each file. The check reads only the index and the archive.
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class ArchiveCheck {
    /// The result of a check.
    public struct Finding: Sendable, Equatable {
        /// The SHA-256 of the archive, which is the layer's diff ID in an image's configuration.
        public let diffID: Digest
        /// The first difference between the index and the archive; `nil` if there is none.
        public let difference: String?
    }

    /// The chunk length in bytes for content to which no chunk of the index corresponds.
    private static let unknownChunk: UInt64 = 4 << 20
    /// The maximum number of bytes that the check hashes for the holes of all sparse files together.
    private static let maximumHoles: UInt64 = 64 << 30

    /// A file of the archive, cut in one way.
    private struct Cut {
        struct Piece {
            var hasher = DigestHasher()
            var length: UInt64 = 0
            var isZeros = true
            let limit: UInt64
        }

        /// The numbers of the index's chunks whose lengths the next pieces get.
        var ahead: Range<Int>
        var piece: Piece?
        var pieces: [(length: UInt64, digest: Digest, isZeros: Bool)] = []

        mutating func endPiece() {
            guard let piece else { return }
            self.piece = nil
            pieces.append((piece.length, piece.hasher.finish(), piece.isZeros))
        }
    }

    private let tree: TreeImage
    private let chunks: ChunkTable
    private let hidesDescription: Bool
    private var finder: EntryFinder
    private var path = EntryPath(limits: .standard)
    private var reader = TarReader()
    private var builder: LayerIndexBuilder?
    private var diffHasher = DigestHasher()
    private var entry: LayerEntry?
    /// The boundaries of the index's files; `nil` until the first file.
    private var cuts: FileCuts?
    /// The current file, once for each way in which it may be cut.
    private var file: [Cut] = []
    /// The hashes of the paths of all files so far.
    private var paths: Set<Int> = []
    /// True if the boundaries of a file had to be guessed, because the index has another file at its path, or because a
    /// path occurs twice.
    private var isGuessing = false
    private var pieceCount: UInt64 = 0
    private var zeros: [UInt64: Digest] = [:]
    private var holeBytes: UInt64 = 0

    /// - Parameters:
    ///   - tree: the tree in the index.
    ///   - chunks: the chunk table in the index.
    ///   - isFromTable: true if the index was built from a table of contents. Such an index lacks the files that only
    ///     describe the layer (``TOCNames``), and possibly the fractions of seconds.
    public init(tree: TreeImage, chunks: ChunkTable, isFromTable: Bool) {
        self.tree = tree
        self.chunks = chunks
        hidesDescription = isFromTable
        finder = EntryFinder(tree)
        // The positions of pieces in the blob do not matter, so each piece gets one byte of an imaginary, huge blob.
        builder = LayerIndexBuilder(
            layer: tree.deviceTags.first, blobDigest: chunks.blobDigest, blobSize: 1 << 62)
    }

    /// Reads the next bytes of the archive.
    public func push(_ archive: UnsafeRawBufferPointer) throws(LayerFormatError) {
        diffHasher.update(archive)
        try reader.push(archive) { (event, _) throws(LayerFormatError) in
            switch event {
            case .entry(let entry, _): try begin(entry)
            case .content(let bytes): try content(bytes)
            case .hole(let count): try hole(count)
            case .end: try endEntry()
            }
        }
    }

    /// Compares the index with the archive after the archive's last byte was pushed.
    ///
    /// - Throws: `unsupported` if the boundaries of a file's chunks had to be guessed and the index has other ones.
    ///   Another error if the archive is incomplete, or if an index cannot be built from it.
    public func finish() throws(LayerFormatError) -> Finding {
        try reader.finish()
        guard let finished = builder.take() else { throw LayerFormatError(.badResponse, "finished twice") }
        let difference: String?
        var isCutAlike = true
        do throws(LayerIndexError) {
            let made = try finished.finish()
            let (madeTree, madeChunks) = (try TreeImage(bytes: made.tree), try ChunkTable(bytes: made.chunks))
            var comparison = TreeComparison(tree, with: madeTree, ignoresFractions: hidesDescription)
            difference = try comparison.difference { own, other in
                isCutAlike = chunks.isCutAlike(own, other, of: madeChunks)
                return isCutAlike && chunks.hasSameFile(own, as: other, of: madeChunks)
            }
        } catch {
            throw LayerFormatError(index: error)
        }
        if !isCutAlike, isGuessing {
            // The index lies about the chunks, or the guess was wrong.
            throw LayerFormatError(.unsupported, "the chunks cannot be compared: \(difference ?? "")")
        }
        return Finding(diffID: diffHasher.finish(), difference: difference)
    }

    // MARK: - Entries

    private func begin(_ entry: LayerEntry) throws(LayerFormatError) {
        file = []
        guard entry.kind == .regular else {
            self.entry = entry
            return
        }
        if hidesDescription, try isDescription(entry.path) { return }
        self.entry = entry
        // The archive has fewer bytes of a sparse file.
        let size = entry.attributes.size
        guard size > 0 else { return }
        let own = try wrapping { () throws(LayerIndexError) -> Range<Int>? in
            if cuts == nil { cuts = try FileCuts(tree, chunks) }
            // A path that no longer leads anywhere belongs to a file that a later entry replaces.
            guard let inode = try? finder.inode(of: entry.path), try tree.attributes(inode).kind == .regular,
                let content = try tree.content(inode), content.range.count == size
            else { return nil }
            return chunks.chunks(overlapping: content.range)
        }
        if !paths.insert(entry.path.hashValue).inserted || own == nil { isGuessing = true }
        file = cuts?.cuts(ofSize: size, first: own).map { Cut(ahead: $0) } ?? []
        // The index has no file of this size, because a later entry replaces the file. Then any boundaries will do.
        if file.isEmpty { file = [Cut(ahead: 0..<0)] }
    }

    private func endEntry() throws(LayerFormatError) {
        for index in file.indices { file[index].endPiece() }
        guard var entry else { return }
        let size = entry.attributes.size
        let right = file.count < 2 ? nil : file.first { cuts?.hasFile(ofSize: size, $0.pieces.map(\.digest)) == true }
        var offset: UInt64 = 0
        for (length, digest, isZeros) in (right ?? file.first)?.pieces ?? [] {
            pieceCount += 1
            let place = ByteRange(offset: pieceCount, end: pieceCount + 1)
            let extent = try wrapping { () throws(LayerIndexError) in try builder?.addExtent(place, codec: .raw) ?? 0 }
            entry.pieces.append(
                ContentPiece(
                    fileOffset: offset, length: length, digest: digest, extent: extent, innerOffset: 0,
                    isZeros: isZeros))
            offset += length
        }
        file = []
        try wrapping { () throws(LayerIndexError) in try builder?.add(entry) }
        self.entry = nil
    }

    /// Returns true if the path is one of ``TOCNames`` in the root directory.
    private func isDescription(_ bytes: [UInt8]) throws(LayerFormatError) -> Bool {
        let names = [TOCNames.toc, TOCNames.prefetchLandmark, TOCNames.noPrefetchLandmark]
        guard names.contains(where: { bytes.suffix($0.count).elementsEqual($0) }) else { return false }
        try wrapping { () throws(LayerIndexError) in
            try bytes.withUnsafeBufferPointer { (bytes) throws(LayerIndexError) in
                try path.clean(UnsafeRawBufferPointer(bytes))
            }
        }
        guard path.names.count == 1, let name = path.names.first else { return false }
        return names.contains { bytes[name].elementsEqual($0) }
    }

    // MARK: - Content

    /// Returns the length of the next piece of the current file, cut in way number `index`.
    private func nextLimit(_ index: Int) -> UInt64 {
        guard let next = file[index].ahead.first else { return Self.unknownChunk }
        file[index].ahead = file[index].ahead.dropFirst()
        return chunks.chunk(next).content.count
    }

    private func content(_ bytes: UnsafeRawBufferPointer) throws(LayerFormatError) {
        for index in file.indices {
            var rest = bytes
            while !rest.isEmpty {
                var piece = file[index].piece ?? Cut.Piece(limit: nextLimit(index))
                // With a second reference, each update would copy the hasher.
                file[index].piece = nil
                let taken = UnsafeRawBufferPointer(
                    rebasing: rest.prefix(Int(clamping: piece.limit - piece.length)))
                rest = UnsafeRawBufferPointer(rebasing: rest[taken.count...])
                piece.hasher.update(taken)
                piece.isZeros = piece.isZeros && taken.isZeros
                piece.length += UInt64(taken.count)
                let isFull = piece.length == piece.limit
                file[index].piece = piece
                if isFull { file[index].endPiece() }
            }
        }
    }

    private func hole(_ count: UInt64) throws(LayerFormatError) {
        for index in file.indices {
            file[index].endPiece()
            var rest = count
            while rest > 0 {
                let length = min(rest, nextLimit(index))
                guard file[index].pieces.count <= chunks.chunkCount + 65_536 else {
                    throw LayerFormatError(.limit, "a sparse file of more pieces than the index has chunks")
                }
                file[index].pieces.append((length, try digest(zeros: length), true))
                rest -= length
            }
        }
    }

    private func digest(zeros length: UInt64) throws(LayerFormatError) -> Digest {
        if let known = zeros[length] { return known }
        holeBytes += length
        guard holeBytes <= Self.maximumHoles else {
            throw LayerFormatError(.limit, "sparse files with more than \(Self.maximumHoles) bytes of holes")
        }
        var hasher = DigestHasher()
        let block = [UInt8](repeating: 0, count: 64 << 10)
        var rest = length
        while rest > 0 {
            let step = Int(min(rest, UInt64(block.count)))
            block.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[..<step])) }
            rest -= UInt64(step)
        }
        let digest = hasher.finish()
        if zeros.count < 4096 { zeros[length] = digest }
        return digest
    }

    private func wrapping<Result>(_ body: () throws(LayerIndexError) -> Result) throws(LayerFormatError) -> Result {
        do throws(LayerIndexError) {
            return try body()
        } catch {
            throw LayerFormatError(index: error, entry?.path)
        }
    }
}

extension UnsafeRawBufferPointer {
    /// True if all bytes are zero.
    var isZeros: Bool {
        var index = 0
        while index + 8 <= count {
            if loadUnaligned(fromByteOffset: index, as: UInt64.self) != 0 { return false }
            index += 8
        }
        return self[index...].allSatisfy { $0 == 0 }
    }
}
