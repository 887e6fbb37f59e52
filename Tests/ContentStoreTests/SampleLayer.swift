import Base
import LayerIndex
import LazyFixtures
import TestSupport

/// A layer of random files cut into random chunks, with the expected bytes of each chunk.
struct SampleLayer: Sendable {
    let digest: Digest
    let index: LayerIndexBytes
    let table: ChunkTable
    private let chunkBytes: [Digest: [UInt8]]

    /// Creates a layer from `seed`.
    ///
    /// - Parameters:
    ///   - files: the number of files; some are empty.
    ///   - chunkLimit: the size of the longest chunk in bytes.
    ///   - zeros: true to mark some chunks as zeros in the index.
    init(seed: UInt64, files: Int = 12, chunkLimit: Int = 9000, zeros: Bool = false) throws {
        var random = SeededRandom(seed: seed)
        var chunkBytes: [Digest: [UInt8]] = [:]
        var fixture = LayerFixture()
        for number in 0..<files {
            var file = LayerFixture.File(bytes: [], ends: [])
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let length = Int.random(in: 1...chunkLimit, using: &random)
                let isZeros = zeros && Bool.random(using: &random)
                let noise = Samples.noise(bytes: length, seed: random.next())
                let bytes = isZeros ? [UInt8](repeating: 0, count: length) : noise
                chunkBytes[Digest.of(bytes)] = bytes
                if isZeros { file.zeroChunks.insert(file.ends.count) }
                file.bytes += bytes
                file.ends.append(file.bytes.count)
            }
            fixture.file("dir/file-\(number)", file)
        }
        digest = fixture.digest
        index = try fixture.index()
        table = try ChunkTable(bytes: index.chunks)
        self.chunkBytes = chunkBytes
    }

    /// Returns the expected bytes of a chunk.
    func bytes(_ chunk: Int) -> [UInt8] { chunkBytes[table.chunk(chunk).digest] ?? [] }
}
