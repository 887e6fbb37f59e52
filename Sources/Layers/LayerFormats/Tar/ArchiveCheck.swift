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

    private struct Piece {
        var hasher = DigestHasher()
        var length: UInt64 = 0
        var isZeros = true
        let limit: UInt64
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
    /// The numbers of the current file's next chunks, according to the index. Chunks that have begun are left out.
    private var ahead = 0..<0
    private var piece: Piece?
    private var fileOffset: UInt64 = 0
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
            case .entry(let entry, let size): try begin(entry, size: size)
            case .content(let bytes): try content(bytes)
            case .hole(let count): try hole(count)
            case .end:
                try endPiece()
                guard let entry else { return }
                self.entry = nil
                try wrapping { () throws(LayerIndexError) in try builder?.add(entry) }
            }
        }
    }

    /// Compares the index with the archive after the archive's last byte was pushed.
    ///
    /// - Throws: an error if the archive is incomplete, or if an index cannot be built from it.
    public func finish() throws(LayerFormatError) -> Finding {
        try reader.finish()
        guard let finished = builder.take() else { throw LayerFormatError(.badResponse, "finished twice") }
        do throws(LayerIndexError) {
            let made = try finished.finish()
            let (madeTree, madeChunks) = (try TreeImage(bytes: made.tree), try ChunkTable(bytes: made.chunks))
            var comparison = TreeComparison(tree, with: madeTree, ignoresFractions: hidesDescription)
            let difference = try comparison.difference { own, other in
                chunks.hasSameFile(own, as: other, of: madeChunks)
            }
            return Finding(diffID: diffHasher.finish(), difference: difference)
        } catch {
            throw LayerFormatError(index: error)
        }
    }

    // MARK: - Entries

    private func begin(_ entry: LayerEntry, size: UInt64) throws(LayerFormatError) {
        fileOffset = 0
        ahead = 0..<0
        guard entry.kind == .regular else {
            self.entry = entry
            return
        }
        if hidesDescription, try isDescription(entry.path) { return }
        self.entry = entry
        guard size > 0 else { return }
        try wrapping { () throws(LayerIndexError) in
            guard let inode = try finder.inode(of: entry.path), try tree.attributes(inode).kind == .regular,
                let content = try tree.content(inode)
            else { return }
            ahead = chunks.chunks(overlapping: content.range)
        }
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

    /// Returns the length of the current file's next chunk, and removes that chunk from ``ahead``. If ``ahead`` is
    /// empty, returns ``unknownChunk``.
    private func nextLimit() -> UInt64 {
        guard let next = ahead.first else { return Self.unknownChunk }
        ahead = ahead.dropFirst()
        return chunks.chunk(next).content.count
    }

    private func content(_ bytes: UnsafeRawBufferPointer) throws(LayerFormatError) {
        guard entry != nil else { return }
        var rest = bytes
        while !rest.isEmpty {
            var piece = piece ?? Piece(limit: nextLimit())
            self.piece = nil
            let taken = UnsafeRawBufferPointer(
                rebasing: rest.prefix(Int(clamping: piece.limit - piece.length)))
            rest = UnsafeRawBufferPointer(rebasing: rest[taken.count...])
            piece.hasher.update(taken)
            piece.isZeros = piece.isZeros && taken.isZeros
            piece.length += UInt64(taken.count)
            self.piece = piece
            if piece.length == piece.limit { try endPiece() }
        }
    }

    private func hole(_ count: UInt64) throws(LayerFormatError) {
        guard entry != nil else { return }
        try endPiece()
        var rest = count
        while rest > 0 {
            let length = min(rest, nextLimit())
            try add(length, try digest(zeros: length), isZeros: true)
            rest -= length
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

    private func endPiece() throws(LayerFormatError) {
        guard let piece else { return }
        self.piece = nil
        try add(piece.length, piece.hasher.finish(), isZeros: piece.isZeros)
    }

    private func add(_ length: UInt64, _ digest: Digest, isZeros: Bool) throws(LayerFormatError) {
        pieceCount += 1
        let place = ByteRange(offset: pieceCount, end: pieceCount + 1)
        let extent = try wrapping { () throws(LayerIndexError) in try builder?.addExtent(place, codec: .raw) ?? 0 }
        entry?.pieces.append(
            ContentPiece(
                fileOffset: fileOffset, length: length, digest: digest, extent: extent, innerOffset: 0,
                isZeros: isZeros))
        fileOffset += length
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
