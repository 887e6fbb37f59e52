public import Base

/// The tables of a startup pack: the chunks in the order of their first use, and the positions of the frames. A startup
/// pack is a blob with the chunks that a container start reads.
///
/// This is version 1 of the format, which `docs/streaming-artifact.md` describes. All numbers are little-endian:
///
/// ```
///  0  magic "RIVSPACK"       8  version u32    12  layers u32    16  frames u32    20  chunks u32
/// 24  for each layer: the SHA-256 of its blob, 32 bytes
///     for each frame: compressed size u32, decoded size u32, chunks u32
///     for each chunk: layer u32, number in the layer's chunk table u32, length u32
///     the frames: each a zstd frame of its chunks' bytes, one after the other
/// ```
///
/// A pack is not trusted: the decode worker verifies each chunk against its digest in the chunk table of its layer.
public struct StartupPack: Sendable, Equatable {
    /// One chunk of one layer.
    public struct Piece: Sendable, Equatable {
        /// The index of the chunk's layer in ``StartupPack/layers``.
        public let layer: Int
        /// The chunk's number in the layer's chunk table.
        public let chunk: Int
        /// The chunk's decoded size in bytes.
        public let length: Int

        package init(layer: Int, chunk: Int, length: Int) {
            self.layer = layer
            self.chunk = chunk
            self.length = length
        }
    }

    /// A group of chunks that are compressed together as one zstd frame.
    public struct Frame: Sendable, Equatable {
        /// The position of the compressed frame in the pack.
        public let range: ByteRange
        /// The frame's decoded size in bytes.
        public let decodedLength: Int
        /// The indexes of the frame's chunks in ``StartupPack/pieces``; not empty.
        public let pieces: Range<Int>
    }

    /// The size of a pack's head in bytes. The head states the numbers of layers, frames and chunks, which determine
    /// the size of the tables.
    public static let headSize = 24
    /// The maximum size of an accepted pack in bytes.
    public static let maximumSize: UInt64 = 1 << 30
    /// The maximum decoded size of a frame, in bytes. The compressed size may exceed this maximum by 1/128.
    static let maximumFrame = 16 << 20
    static let maximumLayers = 1 << 12
    static let maximumFrames = 1 << 16
    static let maximumPieces = 1 << 20

    private static let magic: UInt64 = 0x4B43_4150_5356_4952  // "RIVSPACK"
    private static let version: UInt32 = 1
    private static let (frameSize, pieceSize) = (12, 12)

    /// The digests of the layers' blobs.
    public let layers: [Digest]
    /// The frames in the order of their positions in the pack.
    public let frames: [Frame]
    /// The chunks in the order of their first use.
    public let pieces: [Piece]

    /// Returns the size of the head and tables in bytes, which is also the position of the first frame.
    ///
    /// - Parameter head: the first ``headSize`` bytes of the pack.
    ///
    /// - Throws: `badPack` if the head is not that of a valid pack.
    public static func tableEnd(_ head: [UInt8]) throws(StreamingError) -> Int {
        let counts = try counts(head)
        return headSize + counts.layers * Digest.byteCount + counts.frames * frameSize + counts.pieces * pieceSize
    }

    private static func counts(
        _ head: [UInt8]
    ) throws(StreamingError) -> (layers: Int, frames: Int, pieces: Int) {
        let words = head.withUnsafeBytes { raw -> [UInt32]? in
            guard raw.littleEndian(UInt64.self, at: 0) == magic else { return nil }
            return [8, 12, 16, 20].compactMap { raw.littleEndian(UInt32.self, at: $0) }
        }
        guard let words, words.count == 4 else { throw StreamingError(.badPack, "not a startup pack") }
        guard words[0] == version else {
            throw StreamingError(.badPack, "unsupported startup pack version \(words[0])")
        }
        guard words[1] <= maximumLayers, words[2] <= maximumFrames, words[3] <= maximumPieces else {
            throw StreamingError(
                .badPack, "startup pack too large: \(words[1]) layers, \(words[2]) frames, \(words[3]) chunks")
        }
        return (Int(words[1]), Int(words[2]), Int(words[3]))
    }

    /// Decodes the head and the tables of a pack.
    ///
    /// - Parameters:
    ///   - tables: the first ``tableEnd(_:)`` bytes of the pack.
    ///   - size: the size of the whole pack in bytes.
    /// - Throws: `badPack` if the tables are malformed.
    public init(tables: [UInt8], size: UInt64) throws(StreamingError) {
        let counts = try Self.counts(tables)
        guard tables.count == (try Self.tableEnd(tables)) else {
            throw StreamingError(.badPack, "truncated startup pack tables")
        }
        var position = Self.headSize
        func next() -> Int {
            defer { position += 4 }
            return Int(tables.withUnsafeBytes { $0.littleEndian(UInt32.self, at: position) } ?? 0)
        }
        layers = (0..<counts.layers).compactMap { layer in
            let start = Self.headSize + layer * Digest.byteCount
            return tables.withUnsafeBytes {
                Digest(bytes: UnsafeRawBufferPointer(rebasing: $0[start..<start + Digest.byteCount]))
            }
        }
        position += counts.layers * Digest.byteCount
        let headers = (0..<counts.frames).map { _ in (compressed: next(), decoded: next(), pieces: next()) }
        let pieces = (0..<counts.pieces).map { _ in Piece(layer: next(), chunk: next(), length: next()) }
        var frames: [Frame] = []
        var (offset, piece) = (UInt64(tables.count), 0)
        for header in headers {
            guard (1...Self.maximumFrame + Self.maximumFrame / 128).contains(header.compressed), header.pieces > 0,
                header.pieces <= pieces.count - piece,
                (1...Self.maximumFrame).contains(header.decoded)
            else { throw StreamingError(.badPack, "startup pack frame \(frames.count) is out of range") }
            let own = piece..<piece + header.pieces
            // Each length is below 2^32 and there are at most 2^20 of them.
            guard pieces[own].reduce(0, { $0 + $1.length }) == header.decoded,
                pieces[own].allSatisfy({ $0.length > 0 && $0.layer < counts.layers })
            else { throw StreamingError(.badPack, "the chunks of startup pack frame \(frames.count) do not fit") }
            let end = offset + UInt64(header.compressed)
            frames.append(
                Frame(range: ByteRange(offset: offset, end: end), decodedLength: header.decoded, pieces: own))
            (offset, piece) = (end, own.upperBound)
        }
        guard offset == size, piece == pieces.count else {
            throw StreamingError(.badPack, "startup pack of \(size) bytes, but its tables say \(offset)")
        }
        self.frames = frames
        self.pieces = pieces
    }

    /// Encodes a pack.
    ///
    /// - Parameters:
    ///   - layers: the digests of the layers' blobs.
    ///   - pieces: the chunks in the order of their first use.
    ///   - frames: each frame's compressed bytes, its decoded size, and the number of its chunks in `pieces`.
    package static func encode(
        layers: [Digest], pieces: [Piece], frames: [(bytes: [UInt8], decodedLength: Int, pieces: Int)]
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(
            headSize + layers.count * Digest.byteCount + frames.reduce(0) { $0 + $1.bytes.count + frameSize }
                + pieces.count * pieceSize)
        bytes.appendLittleEndian(magic)
        for number in [version, UInt32(layers.count), UInt32(frames.count), UInt32(pieces.count)] {
            bytes.appendLittleEndian(number)
        }
        for layer in layers { layer.withBytes { bytes.append(contentsOf: $0) } }
        for frame in frames {
            for number in [frame.bytes.count, frame.decodedLength, frame.pieces] {
                bytes.appendLittleEndian(UInt32(number))
            }
        }
        for piece in pieces {
            for number in [piece.layer, piece.chunk, piece.length] { bytes.appendLittleEndian(UInt32(number)) }
        }
        for frame in frames { bytes += frame.bytes }
        return bytes
    }
}
