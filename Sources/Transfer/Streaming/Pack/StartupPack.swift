public import Base

/// What a startup pack says of itself: which chunks it holds, in the order of their first use, and where its frames lie.
///
/// Version 1; all numbers are little-endian, and `docs/streaming-artifact.md` has it too:
///
/// ```
///  0  magic "RIVSPACK"       8  version u32    12  layers u32    16  frames u32    20  chunks u32
/// 24  of each layer: its blob's digest, 32
///     of each frame: compressed size u32, decoded size u32, chunks u32
///     of each chunk: layer u32, number in the layer's chunk table u32, length u32
///     the frames: zstd, each by itself, of the bytes of its chunks one after the other
/// ```
///
/// It vouches for nothing: each chunk is held against its digest in the layer's own table.
public struct StartupPack: Sendable, Equatable {
    /// One chunk of one layer.
    public struct Piece: Sendable, Equatable {
        /// Its place in ``StartupPack/layers``.
        public let layer: Int
        /// Its number in the layer's chunk table.
        public let chunk: Int
        /// In bytes, decoded.
        public let length: Int

        package init(layer: Int, chunk: Int, length: Int) {
            self.layer = layer
            self.chunk = chunk
            self.length = length
        }
    }

    /// Chunks that are compressed together.
    public struct Frame: Sendable, Equatable {
        /// In the pack.
        public let range: ByteRange
        /// In bytes.
        public let decodedLength: Int
        /// In ``StartupPack/pieces``; not empty.
        public let pieces: Range<Int>
    }

    /// What is fetched first of a pack.
    public static let headSize = 24
    /// The largest pack that is believed, in bytes.
    public static let maximumSize: UInt64 = 1 << 30
    /// What a frame decodes to at most. Compressed, it is not larger by more than a hundredth.
    static let maximumFrame = 16 << 20
    static let maximumLayers = 1 << 12
    static let maximumFrames = 1 << 16
    static let maximumPieces = 1 << 20

    private static let magic: UInt64 = 0x4B43_4150_5356_4952  // "RIVSPACK"
    private static let version: UInt32 = 1
    private static let (frameSize, pieceSize) = (12, 12)

    /// Blobs' digests.
    public let layers: [Digest]
    /// In the order in which they lie in the pack, one after the other.
    public let frames: [Frame]
    /// In the order of first use.
    public let pieces: [Piece]

    /// How long what stands before the first frame is, from the first ``headSize`` bytes.
    ///
    /// - Throws: `badPack` when these are not those of a pack.
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
        guard words[0] == version else { throw StreamingError(.badPack, "a startup pack of version \(words[0])") }
        guard words[1] <= maximumLayers, words[2] <= maximumFrames, words[3] <= maximumPieces else {
            throw StreamingError(
                .badPack, "a startup pack of \(words[1]) layers, \(words[2]) frames and \(words[3]) chunks")
        }
        return (Int(words[1]), Int(words[2]), Int(words[3]))
    }

    /// Reads what stands before the first frame.
    ///
    /// - Parameters:
    ///   - tables: ``tableEnd(_:)`` bytes.
    ///   - size: of the whole pack.
    /// - Throws: `badPack` when it contradicts itself.
    public init(tables: [UInt8], size: UInt64) throws(StreamingError) {
        let counts = try Self.counts(tables)
        guard tables.count == (try Self.tableEnd(tables)) else {
            throw StreamingError(.badPack, "the tables of a startup pack are cut off")
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
            else { throw StreamingError(.badPack, "frame \(frames.count) of a startup pack is out of range") }
            let own = piece..<piece + header.pieces
            // Each length is below 2^32 and there are at most 2^20 of them.
            guard pieces[own].reduce(0, { $0 + $1.length }) == header.decoded,
                pieces[own].allSatisfy({ $0.length > 0 && $0.layer < counts.layers })
            else { throw StreamingError(.badPack, "the chunks of frame \(frames.count) of a startup pack do not fit") }
            let end = offset + UInt64(header.compressed)
            frames.append(
                Frame(range: ByteRange(offset: offset, end: end), decodedLength: header.decoded, pieces: own))
            (offset, piece) = (end, own.upperBound)
        }
        guard offset == size, piece == pieces.count else {
            throw StreamingError(.badPack, "a startup pack of \(size) bytes says that it has \(offset)")
        }
        self.frames = frames
        self.pieces = pieces
    }

    /// The bytes of a pack of these chunks: `frames` are compressed, with how long each is decoded and how many of `pieces` it
    /// holds.
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
