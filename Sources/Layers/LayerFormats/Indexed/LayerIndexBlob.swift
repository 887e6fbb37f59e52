public import Base
import Codecs
public import LayerIndex

/// The encoding of a layer index as a blob in a registry, version 1. All numbers are little-endian, and all sizes are
/// in bytes before compression.
///
/// ```
///  0  magic "RIVINDEX"    8  version u32    12  0 (4 bytes)
/// 16  tree's size u64    24  chunk table's size u64
/// 32  the layer's blob digest (32 bytes)    64  the layer's diff ID (32 bytes)
/// 96  one zstd frame: the tree, then the chunk table
/// ```
public struct LayerIndexBlob: Sendable {
    private static let magic: UInt64 = 0x5845_444E_4956_4952  // "RIVINDEX"
    private static let version: UInt32 = 1
    private static let headerSize = 96
    /// The zstd level: high, because a blob is compressed once and fetched often.
    private static let level: Int32 = 19
    /// The maximum total size of the decoded tree and chunk table in bytes.
    static let maximumSize: UInt64 = 512 << 20
    /// The maximum ratio of the total size of the decoded tree and chunk table to the size of the blob, for decoded
    /// sizes of more than ``uncheckedSize``. Digests cannot be compressed: indexes of real layers are 2 to 10 times as
    /// large as the blob.
    private static let maximumRatio: UInt64 = 64
    /// The total size in bytes up to which the tree and the chunk table may be compressed at any ratio.
    private static let uncheckedSize: UInt64 = 4 << 20

    /// The maximum size of an encoded index in bytes.
    public static let maximumEncodedSize = 64 << 20

    public let blobDigest: Digest
    public let diffID: Digest
    public let index: LayerIndexBytes

    /// Encodes the index of a layer as a blob.
    public static func encode(
        _ index: LayerIndexBytes, blobDigest: Digest, diffID: Digest
    ) throws(LayerFormatError) -> [UInt8] {
        var bytes: [UInt8] = []
        func append(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        append(magic)
        append(version)
        append(0 as UInt32)
        append(UInt64(index.tree.count))
        append(UInt64(index.chunks.count))
        blobDigest.withBytes { bytes.append(contentsOf: $0) }
        diffID.withBytes { bytes.append(contentsOf: $0) }
        let both = index.tree + index.chunks
        do {
            return bytes
                + (try both.withUnsafeBufferPointer { (both) throws(CodecError) in
                    try ZstdEncoder.frame(UnsafeRawBufferPointer(both), level: level)
                })
        } catch {
            throw LayerFormatError(.limit, "cannot compress a layer index: \(error)", cause: error)
        }
    }

    private struct Header {
        var magic: UInt64
        var version: UInt32
        var tree: UInt64
        var chunks: UInt64

        init?(_ bytes: [UInt8]) {
            let header = bytes.withUnsafeBytes { raw -> Header? in
                guard raw.count >= headerSize, let magic = raw.littleEndian(UInt64.self, at: 0),
                    let version = raw.littleEndian(UInt32.self, at: 8),
                    let tree = raw.littleEndian(UInt64.self, at: 16),
                    let chunks = raw.littleEndian(UInt64.self, at: 24)
                else { return nil }
                return Header(magic: magic, version: version, tree: tree, chunks: chunks)
            }
            guard let header else { return nil }
            self = header
        }

        private init(magic: UInt64, version: UInt32, tree: UInt64, chunks: UInt64) {
            self.magic = magic
            self.version = version
            self.tree = tree
            self.chunks = chunks
        }
    }

    /// Returns the total size in bytes of the decoded tree and chunk table, according to the blob's header; `nil` if
    /// the blob is too short.
    static func decodedSize(of bytes: [UInt8]) -> UInt64? { Header(bytes).map { $0.tree.plus($0.chunks) } }

    /// Decodes a blob. The tree and the chunk table are validated later, when they are opened.
    ///
    /// - Throws: `badTOC` if the bytes are not a valid index, `unsupported` for another version, `limit` if the index
    ///   is larger than allowed.
    public init(bytes: [UInt8]) throws(LayerFormatError) {
        guard let header = Header(bytes), header.magic == Self.magic else {
            throw LayerFormatError(.badTOC, "not a layer index")
        }
        guard header.version == Self.version else {
            throw LayerFormatError(.unsupported, "a layer index of version \(header.version)")
        }
        // The header's sizes decide how much memory is allocated, so they are bounded.
        let likely = max(Self.uncheckedSize, UInt64(bytes.count) * Self.maximumRatio)
        guard header.tree.plus(header.chunks) <= min(Self.maximumSize, likely) else {
            throw LayerFormatError(.limit, "a layer index of \(header.tree) and \(header.chunks) bytes")
        }
        guard let blobDigest = bytes.withUnsafeBytes({ Digest(bytes: UnsafeRawBufferPointer(rebasing: $0[32..<64])) }),
            let diffID = bytes.withUnsafeBytes({ Digest(bytes: UnsafeRawBufferPointer(rebasing: $0[64..<96])) })
        else { throw LayerFormatError(.badTOC, "a layer index without digests") }
        self.blobDigest = blobDigest
        self.diffID = diffID
        var tree = [UInt8](repeating: 0, count: Int(header.tree))
        var chunks = [UInt8](repeating: 0, count: Int(header.chunks))
        do throws(CodecError) {
            let decoder = ExtentDecoder()
            decoder.reset(.zstd)
            var position = Self.headerSize
            try Self.fill(&tree, with: decoder, from: bytes, at: &position)
            try Self.fill(&chunks, with: decoder, from: bytes, at: &position)
        } catch {
            throw LayerFormatError(.badTOC, "a layer index cannot be decoded: \(error)", cause: error)
        }
        index = LayerIndexBytes(tree: tree, chunks: chunks)
    }

    private static func fill(
        _ target: inout [UInt8], with decoder: ExtentDecoder, from bytes: [UInt8], at position: inout Int
    ) throws(CodecError) {
        var place = position
        try target.withUnsafeMutableBufferPointer { (target) throws(CodecError) in
            try bytes.withUnsafeBufferPointer { (bytes) throws(CodecError) in
                var filled = 0
                while filled < target.count {
                    let step = try decoder.decode(
                        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[place...]),
                        into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(target)[filled...]))
                    place += step.consumed
                    filled += step.produced
                    if step.consumed == 0, step.produced == 0 {
                        throw CodecError(.truncated, "it ends after \(filled) of \(target.count) bytes")
                    }
                }
            }
        }
        position = place
    }
}
