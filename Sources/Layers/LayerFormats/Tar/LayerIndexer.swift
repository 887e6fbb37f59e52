public import Base
import Codecs
public import LayerIndex

/// The result of ``LayerIndexer``: the index of a layer without a table of contents. With the index, the layer is
/// streamable without a change to its blob.
public struct IndexedLayer: Sendable {
    public var index: LayerIndexBytes
    /// The bytes of the windows blob (``WindowsBlob``), with one zstd frame for each window that is not empty. Empty if
    /// no extent needs a window.
    public var windows: [UInt8]
    /// The SHA-256 of the layer's uncompressed archive, which is its diff ID in an image's configuration.
    public var diffID: Digest
}

/// A builder that creates the index of an ordinary layer in one pass over its blob. An ordinary layer has no table of
/// contents: its blob is a tar archive, uncompressed or compressed with gzip or zstd.
///
/// The index depends only on the blob. The builder keeps little in memory except the index and the windows
/// (``WindowsBlob``).
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class LayerIndexer {
    /// The maximum size of a decoded chunk in bytes. By default, the kernel reads ahead 128 KiB at a time, so one chunk
    /// usually answers such a read.
    private static let chunkSize = 128 << 10
    /// The zstd level for windows. The level is high, because windows are small and compressed once.
    private static let windowLevel: Int32 = 19

    /// The expected digest and size in bytes of the blob.
    private let expected: (digest: Digest, size: UInt64)
    private let scanner = LayerScanner()
    private var reader = TarReader()
    private var builder: LayerIndexBuilder?
    private var blobHasher = DigestHasher()
    private var diffHasher = DigestHasher()
    private var received: UInt64 = 0
    /// Input that the scanner has not consumed yet.
    private var held: [UInt8] = []
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    private var windows: [UInt8] = []
    /// The extents whose windows (``ExtentRestart/window``) the scanner has not returned yet. The key is the extent's
    /// offset in the blob.
    private var pending: [UInt64: (extent: UInt32, restart: DeflateRestart)] = [:]

    private var extent: UInt32?
    /// The current extent's offset in the archive.
    private var extentStart: UInt64 = 0
    private var entry: LayerEntry?
    private var fileOffset: UInt64 = 0
    private var piece: Piece?

    private struct Piece {
        var hasher = DigestHasher()
        var length = 0
        let innerOffset: UInt64
        var isZeros = true
    }

    /// - Parameters:
    ///   - layer: the digest of the layer's own blob, if the indexed blob is a recompressed copy. `nil` if the indexed
    ///     blob is the layer's own blob.
    ///   - blobDigest: the expected digest of the indexed blob's bytes.
    ///   - blobSize: the expected size of the indexed blob in bytes.
    public init(layer: Digest? = nil, blobDigest: Digest, blobSize: UInt64) {
        expected = (blobDigest, blobSize)
        builder = LayerIndexBuilder(layer: layer, blobDigest: blobDigest, blobSize: blobSize)
    }

    deinit {
        output.deallocate()
    }

    /// Reads the next bytes of the blob.
    public func push(_ bytes: UnsafeRawBufferPointer) throws(LayerFormatError) {
        received += UInt64(bytes.count)
        guard received <= expected.size else {
            throw LayerFormatError(
                .badArchive, "the blob has more than the \(expected.size) bytes that its descriptor says")
        }
        blobHasher.update(bytes)
        guard held.isEmpty else {
            held.append(contentsOf: bytes)
            let all = held
            held = []
            try all.withUnsafeBufferPointer { (all) throws(LayerFormatError) in try scan(UnsafeRawBufferPointer(all)) }
            return
        }
        try scan(bytes)
    }

    /// Builds the index after the blob's last byte was pushed.
    ///
    /// - Throws: `badArchive` if the blob does not have the expected digest and size, or if the archive is incomplete.
    public func finish() throws(LayerFormatError) -> IndexedLayer {
        guard received == expected.size, blobHasher.finish() == expected.digest else {
            throw LayerFormatError(.badArchive, "the blob is not the one that its descriptor names, \(expected.digest)")
        }
        guard held.isEmpty else { throw LayerFormatError(.badArchive, "the blob ends within a header") }
        try wrapping { () throws(CodecError) in try scanner.finish() }
        try takeWindows()
        try reader.finish()
        if let extent { try endExtent(extent, at: received) }
        guard var finished = builder.take() else { throw LayerFormatError(.badResponse, "finished twice") }
        do throws(LayerIndexError) {
            if !windows.isEmpty {
                finished.setWindows(WindowsBlob(digest: Digest.of(windows), size: UInt64(windows.count)))
            }
            return IndexedLayer(index: try finished.finish(), windows: windows, diffID: diffHasher.finish())
        } catch {
            throw LayerFormatError(index: error)
        }
    }

    // MARK: - Decoding

    private func scan(_ bytes: UnsafeRawBufferPointer) throws(LayerFormatError) {
        var position = 0
        while true {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
            let step = try wrapping { () throws(CodecError) in try scanner.scan(rest, into: output) }
            position += step.consumed
            if step.produced > 0 {
                let made = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(output)[..<step.produced])
                diffHasher.update(made)
                try read(made)
            }
            if let boundary = step.boundary { try begin(boundary) }
            try takeWindows()
            guard step.isIdle else { continue }
            held = Array(bytes[position...])
            return
        }
    }

    private func begin(_ boundary: LayerScanner.Boundary) throws(LayerFormatError) {
        endPiece()
        if let extent { try endExtent(extent, at: boundary.offset) }
        let codec: ExtentCodec =
            switch boundary.codec {
            case .raw: .raw
            case .gzip: .gzip
            case .zstd: .zstd
            case .deflate: .deflate
            }
        // If this boundary is the end of the blob, no extent begins.
        guard boundary.offset < expected.size else {
            extent = nil
            return
        }
        do throws(LayerIndexError) {
            let begun = try builder?.addExtent(from: boundary.offset, codec: codec)
            extent = begun
            extentStart = scanner.outputOffset
            if let begun, let restart = boundary.restart { pending[boundary.offset] = (begun, restart) }
        } catch {
            throw LayerFormatError(index: error)
        }
    }

    private func endExtent(_ extent: UInt32, at end: UInt64) throws(LayerFormatError) {
        do throws(LayerIndexError) {
            try builder?.endExtent(extent, at: end)
        } catch {
            throw LayerFormatError(index: error)
        }
    }

    private func takeWindows() throws(LayerFormatError) {
        while let window = scanner.takeWindow() {
            guard let known = pending.removeValue(forKey: window.offset) else { continue }
            var stored: [UInt8] = []
            if !window.bytes.isEmpty {
                stored = try window.bytes.withUnsafeBufferPointer { (bytes) throws(LayerFormatError) in
                    try wrapping { () throws(CodecError) in
                        try ZstdEncoder.frame(UnsafeRawBufferPointer(bytes), level: Self.windowLevel)
                    }
                }
            }
            let offset = stored.isEmpty ? 0 : UInt64(windows.count)
            let restart = ExtentRestart(
                bitCount: known.restart.bitCount, bits: known.restart.bits,
                window: ByteRange(offset: offset, end: offset + UInt64(stored.count)),
                windowChecksum: stored.isEmpty ? 0 : ExtentRestart.checksum(stored))
            windows += stored
            do throws(LayerIndexError) {
                try builder?.setRestart(known.extent, restart)
            } catch {
                throw LayerFormatError(index: error)
            }
        }
    }

    // MARK: - Entries

    private func read(_ made: UnsafeRawBufferPointer) throws(LayerFormatError) {
        try reader.push(made) { (event, offset) throws(LayerFormatError) in
            switch event {
            case .entry(let entry, _):
                self.entry = entry
                fileOffset = 0
            case .content(let bytes): content(bytes, at: offset)
            case .hole(let count): hole(count)
            case .end:
                endPiece()
                guard let entry else { return }
                self.entry = nil
                do throws(LayerIndexError) {
                    try builder?.add(entry)
                } catch {
                    throw LayerFormatError(index: error, entry.path)
                }
            }
        }
    }

    private func content(_ bytes: UnsafeRawBufferPointer, at position: UInt64) {
        var rest = bytes
        while !rest.isEmpty {
            var piece = piece ?? Piece(innerOffset: position + UInt64(bytes.count - rest.count) - extentStart)
            self.piece = nil
            let taken = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.chunkSize - piece.length))
            rest = UnsafeRawBufferPointer(rebasing: rest[taken.count...])
            piece.hasher.update(taken)
            piece.isZeros = piece.isZeros && taken.isZeros
            piece.length += taken.count
            self.piece = piece
            if piece.length == Self.chunkSize { endPiece() }
        }
    }

    /// The sizes in bytes of the pieces into which a hole is split, each with the digest of that many zeros. A hole is
    /// a run of zeros in a sparse file that the archive does not contain. The remainder of the hole becomes one more
    /// piece, whose digest is computed when needed.
    private static let holes: [(size: UInt64, digest: Digest)] = [64 << 20, 4 << 20].map {
        ($0, Digest.of([UInt8](repeating: 0, count: Int($0))))
    }

    private func hole(_ count: UInt64) {
        endPiece()
        var rest = count
        while rest > 0 {
            let known = Self.holes.first { $0.size <= rest }
            let length = known?.size ?? rest
            let digest = known?.digest ?? Digest.of([UInt8](repeating: 0, count: Int(length)))
            entry?.pieces.append(
                ContentPiece(
                    fileOffset: fileOffset, length: length, digest: digest, extent: 0, innerOffset: 0, isZeros: true))
            fileOffset += length
            rest -= length
        }
    }

    private func endPiece() {
        guard let piece, let extent else { return }
        self.piece = nil
        entry?.pieces.append(
            ContentPiece(
                fileOffset: fileOffset, length: UInt64(piece.length), digest: piece.hasher.finish(), extent: extent,
                innerOffset: piece.innerOffset, isZeros: piece.isZeros))
        fileOffset += UInt64(piece.length)
    }

    // MARK: - Errors

    private func wrapping<Result>(_ body: () throws(CodecError) -> Result) throws(LayerFormatError) -> Result {
        do throws(CodecError) {
            return try body()
        } catch {
            throw LayerFormatError(codec: error)
        }
    }
}
