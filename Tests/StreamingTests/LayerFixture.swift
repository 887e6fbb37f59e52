import Base
import Codecs
import ContentStore
import LayerIndex
import TestSupport

/// A layer of files, as a blob and as its index: extents with a little of something else between them, as the tar headers
/// of an eStargz layer lie between its files.
struct LayerFixture {
    struct File {
        var bytes: [UInt8]
        var chunkSize: Int
        /// All chunks of the file in one extent instead of one extent each.
        var isPacked = false
        /// Chunks that are all zeros and lie nowhere.
        var zeroChunks: Set<Int> = []
    }

    let blob: [UInt8]
    let digest: Digest
    let index: LayerIndexBytes
    /// The numbers of the chunks of each file.
    let chunks: [Range<Int>]
    /// What the content space holds.
    let files: [File]

    init(_ files: [File], codec: Codec = .gzip, prefetchFiles: Int? = nil) throws {
        var blob: [UInt8] = []
        var extents: [ByteRange] = []
        var entries: [LayerEntry] = []
        var chunks: [Range<Int>] = []
        var prefetchEnd: Int?
        for (number, file) in files.enumerated() {
            if number == prefetchFiles { prefetchEnd = blob.count }
            var pieces: [ContentPiece] = []
            let parts = stride(from: 0, to: file.bytes.count, by: file.chunkSize).map {
                Array(file.bytes[$0..<min($0 + file.chunkSize, file.bytes.count)])
            }
            if file.isPacked {
                Self.append(file.bytes, codec, &blob, &extents)
            }
            for (part, bytes) in parts.enumerated() {
                let isZeros = file.zeroChunks.contains(part)
                if !file.isPacked, !isZeros { Self.append(bytes, codec, &blob, &extents) }
                let offset = UInt64(part * file.chunkSize)
                pieces.append(
                    ContentPiece(
                        fileOffset: offset, length: UInt64(bytes.count), digest: Digest.of(bytes),
                        extent: UInt32(max(extents.count, 1) - 1), innerOffset: file.isPacked ? offset : 0,
                        isZeros: isZeros))
            }
            let first = chunks.last?.upperBound ?? 0
            chunks.append(first..<first + parts.count)
            var attributes = NodeAttributes()
            attributes.mode = 0o644
            attributes.size = UInt64(file.bytes.count)
            entries.append(
                LayerEntry(path: Array("file-\(number)".utf8), attributes: attributes, pieces: pieces))
        }
        self.blob = blob
        digest = Digest.of(blob)
        self.files = files
        self.chunks = chunks
        var builder = LayerIndexBuilder(blobDigest: digest, blobSize: UInt64(blob.count))
        for range in extents { _ = try builder.addExtent(range, codec: ExtentCodec(rawValue: codec.rawValue) ?? .raw) }
        for entry in entries { try builder.add(entry) }
        if let prefetchEnd { builder.setPrefetch(.blobPrefix(end: UInt64(prefetchEnd))) }
        index = try builder.finish()
    }

    /// Files of one chunk each.
    init(sizes: [Int], seed: UInt64, prefetchFiles: Int? = nil) throws {
        try self.init(
            sizes.enumerated().map {
                File(bytes: Samples.text(bytes: $1, seed: seed &+ UInt64($0)), chunkSize: 1 << 20)
            },
            prefetchFiles: prefetchFiles)
    }

    private static func append(_ bytes: [UInt8], _ codec: Codec, _ blob: inout [UInt8], _ extents: inout [ByteRange]) {
        blob += Samples.noise(bytes: 50, seed: UInt64(blob.count))
        let member = Compressed.member(bytes, codec: codec)
        extents.append(ByteRange(offset: UInt64(blob.count), end: UInt64(blob.count + member.count)))
        blob += member
    }
}

extension StoredLayer {
    /// The bytes of a chunk as they are in the store.
    func bytes(ofChunk chunk: Int) throws -> [UInt8] {
        let range = chunks.chunk(chunk).content
        var bytes = [UInt8](repeating: 0xAA, count: Int(range.count))
        let count = try bytes.withUnsafeMutableBytes { try read(at: range.offset, into: $0) }
        return Array(bytes[..<count])
    }
}
