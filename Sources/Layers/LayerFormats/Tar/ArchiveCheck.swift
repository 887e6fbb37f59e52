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

    /// The maximum memory in bytes of the index that the check builds. An archive may have far more entries than the
    /// index that it is compared with.
    private static let maximumMemory = 512 << 20
    /// The maximum number of bytes that the check hashes for the holes of all sparse files together.
    private static let maximumHoles: UInt64 = 64 << 30

    /// A file of the archive, cut in one way.
    private struct Cut {
        struct Piece {
            var hasher = DigestHasher()
            var length: UInt64 = 0
            var isZeros = true
        }

        var piece: Piece?
        var pieces: [(length: UInt64, digest: Digest, isZeros: Bool)] = []

        mutating func append(_ bytes: UnsafeRawBufferPointer) {
            var piece = self.piece ?? Piece()
            // With a second reference, each update would copy the hasher.
            self.piece = nil
            piece.hasher.update(bytes)
            piece.isZeros = piece.isZeros && bytes.isZeros
            piece.length += UInt64(bytes.count)
            self.piece = piece
        }

        mutating func endPiece() {
            guard let piece else { return }
            self.piece = nil
            pieces.append((piece.length, piece.hasher.finish(), piece.isZeros))
        }
    }

    private let tree: TreeImage
    private let chunks: ChunkTable
    private let hidesDescription: Bool
    private let cutter: ArchiveCutter
    private var builder: LayerIndexBuilder?
    private var diffHasher = DigestHasher()
    private var entry: LayerEntry?
    /// The current file, once for each way in which it may be cut.
    private var file: [Cut] = []
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
        cutter = ArchiveCutter(tree: tree, chunks: chunks, skipsDescription: isFromTable)
        var limits = IndexLimits.standard
        limits.buildMemory = Self.maximumMemory
        // The positions of pieces in the blob do not matter, so each piece gets one byte of an imaginary, huge blob.
        builder = LayerIndexBuilder(
            layer: tree.deviceTags.first, blobDigest: chunks.blobDigest, blobSize: 1 << 62, limits: limits)
    }

    /// The maximum size of the archive in bytes (``ArchiveCutter/maximumBytes``).
    public var maximumBytes: UInt64 { cutter.maximumBytes }

    /// Reads the next bytes of the archive.
    ///
    /// - Throws: `limit` if the archive has far more bytes than the index accounts for. All later calls throw it, too.
    public func push(_ archive: UnsafeRawBufferPointer) throws(LayerFormatError) {
        diffHasher.update(archive)
        try cutter.push(archive) { (event) throws(LayerFormatError) in
            switch event {
            case .entry(let entry, let ways):
                self.entry = entry
                file = Array(repeating: Cut(), count: ways)
            case .content(let bytes, let way): file[way].append(bytes)
            case .pieceEnd(let way): file[way].endPiece()
            case .hole(let count, let way): file[way].pieces.append((count, try digest(zeros: count), true))
            case .end: try endEntry()
            }
        }
    }

    /// Compares the index with the archive after the archive's last byte was pushed.
    ///
    /// - Throws: `unsupported` if the boundaries of a file's chunks had to be guessed and the index has other ones.
    ///   Another error if the archive is incomplete, or if an index cannot be built from it.
    public func finish() throws(LayerFormatError) -> Finding {
        try cutter.finish()
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
        if !isCutAlike, cutter.isGuessing {
            // The index lies about the chunks, or the guess was wrong.
            throw LayerFormatError(.unsupported, "the chunks cannot be compared: \(difference ?? "")")
        }
        return Finding(diffID: diffHasher.finish(), difference: difference)
    }

    private func endEntry() throws(LayerFormatError) {
        guard var entry else { return }
        let size = entry.attributes.size
        let right = file.count < 2 ? nil : file.first { cutter.hasFile(ofSize: size, $0.pieces.map(\.digest)) }
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
