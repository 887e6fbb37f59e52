import Base
import LayerIndex
import TestSupport

/// A layer of random files cut into random chunks, with all that its content must be.
struct SampleLayer: Sendable {
    let digest: Digest
    let index: LayerIndexBytes
    let table: ChunkTable
    private let chunkBytes: [Digest: [UInt8]]

    /// - Parameters:
    ///   - files: how many; some are empty.
    ///   - chunkLimit: the longest chunk in bytes.
    ///   - zeros: whether some chunks are known to be zeros.
    init(seed: UInt64, files: Int = 12, chunkLimit: Int = 9000, zeros: Bool = false) throws {
        var random = SeededRandom(seed: seed)
        digest = Digest.of(Array("layer \(seed)".utf8))
        var chunkBytes: [Digest: [UInt8]] = [:]
        var builder = LayerIndexBuilder(blobDigest: digest, blobSize: 1 << 40)
        var blobOffset: UInt64 = 0
        for file in 0..<files {
            var pieces: [ContentPiece] = []
            var size: UInt64 = 0
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let length = Int.random(in: 1...chunkLimit, using: &random)
                let isZeros = zeros && Bool.random(using: &random)
                let noise = Samples.noise(bytes: length, seed: random.next())
                let bytes = isZeros ? [UInt8](repeating: 0, count: length) : noise
                let digest = Digest.of(bytes)
                chunkBytes[digest] = bytes
                var extent: UInt32 = 0
                if !isZeros {
                    let range = ByteRange(offset: blobOffset, end: blobOffset + UInt64(length))
                    extent = try builder.addExtent(range, codec: .raw)
                    blobOffset = range.end
                }
                pieces.append(
                    ContentPiece(
                        fileOffset: size, length: UInt64(length), digest: digest, extent: extent, innerOffset: 0,
                        isZeros: isZeros))
                size += UInt64(length)
            }
            var attributes = NodeAttributes()
            attributes.mode = 0o644
            attributes.size = size
            try builder.add(
                LayerEntry(
                    path: Array("dir/file-\(file)".utf8), kind: .regular, attributes: attributes, pieces: pieces))
        }
        index = try builder.finish()
        table = try ChunkTable(bytes: index.chunks)
        self.chunkBytes = chunkBytes
    }

    /// What the chunk must hold.
    func bytes(_ chunk: Int) -> [UInt8] { chunkBytes[table.chunk(chunk).digest] ?? [] }
}
