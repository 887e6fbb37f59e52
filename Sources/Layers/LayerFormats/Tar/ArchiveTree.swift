public import Base
import LayerIndex

/// A builder of a layer's tree (``TreeImage``) from the uncompressed archive alone. ``LayerIndexer`` builds the same
/// tree, and also a chunk table, from the compressed blob.
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class ArchiveTree {
    /// The maximum length in bytes of a piece of file content that this type passes to the index builder. Any length
    /// works, because the tree does not record pieces.
    private static let pieceSize: UInt64 = 16 << 20
    private static let noDigest = Digest.of([])

    private var reader = TarReader()
    private var builder: LayerIndexBuilder?
    private var diffHasher = DigestHasher()
    private var entry: LayerEntry?
    private var piece: (length: UInt64, isZeros: Bool) = (0, true)
    private var fileOffset: UInt64 = 0
    private var pieceCount: UInt64 = 0

    /// - Parameter blobDigest: the digest of the layer's blob, which the tree records.
    public init(blobDigest: Digest) {
        // The positions of pieces in the blob are unknown, so each piece gets one byte of an imaginary, huge blob.
        builder = LayerIndexBuilder(blobDigest: blobDigest, blobSize: 1 << 62)
    }

    /// Reads the next bytes of the archive.
    public func push(_ archive: UnsafeRawBufferPointer) throws(LayerFormatError) {
        diffHasher.update(archive)
        try reader.push(archive) { (event, _) throws(LayerFormatError) in
            switch event {
            case .entry(let entry, _):
                self.entry = entry
                fileOffset = 0
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

    /// Builds the tree after the archive's last byte was pushed.
    ///
    /// - Returns: the tree, and the archive's SHA-256, which is the layer's diff ID in an image's configuration.
    public func finish() throws(LayerFormatError) -> (tree: [UInt8], diffID: Digest) {
        try reader.finish()
        guard let finished = builder.take() else { throw LayerFormatError(.badResponse, "finished twice") }
        do throws(LayerIndexError) {
            return (try finished.finish().tree, diffHasher.finish())
        } catch {
            throw LayerFormatError(index: error)
        }
    }

    private func content(_ bytes: UnsafeRawBufferPointer) throws(LayerFormatError) {
        var rest = bytes
        while !rest.isEmpty {
            let taken = UnsafeRawBufferPointer(rebasing: rest.prefix(Int(Self.pieceSize - piece.length)))
            rest = UnsafeRawBufferPointer(rebasing: rest[taken.count...])
            piece = (piece.length + UInt64(taken.count), piece.isZeros && taken.isZeros)
            if piece.length == Self.pieceSize { try endPiece() }
        }
    }

    private func hole(_ count: UInt64) throws(LayerFormatError) {
        var rest = count
        while rest > 0 {
            let taken = min(rest, Self.pieceSize - piece.length)
            rest -= taken
            piece = (piece.length + taken, piece.isZeros)
            if piece.length == Self.pieceSize { try endPiece() }
        }
    }

    private func endPiece() throws(LayerFormatError) {
        guard piece.length > 0 else { return }
        let (length, isZeros) = piece
        piece = (0, true)
        pieceCount += 1
        let place = ByteRange(offset: pieceCount, end: pieceCount + 1)
        let extent = try wrapping { () throws(LayerIndexError) in try builder?.addExtent(place, codec: .raw) ?? 0 }
        entry?.pieces.append(
            ContentPiece(
                fileOffset: fileOffset, length: length, digest: Self.noDigest, extent: extent, innerOffset: 0,
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
