import Base
import Codecs
public import ContentStore
import LayerIndex

/// A writer of a startup pack from chunks in a content store. The writer plans all frames first, so that the caller can
/// compress them in parallel.
public struct StartupPackWriter: Sendable {
    /// The default decoded size, in bytes, at which the writer closes a frame. If a frame compresses to half of this
    /// size, its transfer takes only 0.17 s on a slow network with 25 Mbit/s. Smaller frames would compress worse.
    public static let frameLength = 1 << 20
    /// The maximum decoded size of a pack, in bytes. For a start that reads more, a larger pack would not pay off.
    private static let maximumLength: UInt64 = 512 << 20
    /// The zstd level. It is high because a pack is made once and fetched often.
    private static let level: Int32 = 19

    private let layers: [StoredLayer]
    private let pieces: [StartupPack.Piece]
    private let plan: [Range<Int>]

    /// Plans a pack of the chunks in `runs`, in this order and each chunk once. Skips chunks of zeros, and chunks that
    /// would make the pack exceed a limit.
    ///
    /// - Parameter frameLength: the decoded size, in bytes, at which the writer closes a frame.
    public init(_ runs: [ChunkRun], frameLength: Int = Self.frameLength) {
        var layers: [StoredLayer] = []
        var places: [LayerKey: Int] = [:]
        var pieces: [StartupPack.Piece] = []
        var plan: [Range<Int>] = []
        var seen: [Set<Int>] = []
        var (start, frame, total) = (0, 0, 0 as UInt64)
        for run in runs {
            let layer = places[run.layer.key] ?? layers.count
            if layer == layers.count {
                guard layers.count < StartupPack.maximumLayers else { continue }
                places[run.layer.key] = layer
                layers.append(run.layer)
                seen.append([])
            }
            for index in run.chunks {
                let chunk = run.layer.chunks.chunk(index)
                let length = chunk.content.count
                guard !chunk.isZeros, length <= StartupPack.maximumFrame - frameLength,
                    total + length <= Self.maximumLength, pieces.count < StartupPack.maximumPieces,
                    plan.count < StartupPack.maximumFrames - 1, seen[layer].insert(index).inserted
                else { continue }
                pieces.append(StartupPack.Piece(layer: layer, chunk: index, length: Int(length)))
                frame += Int(length)
                total += length
                if frame >= frameLength {
                    plan.append(start..<pieces.count)
                    (start, frame) = (pieces.count, 0)
                }
            }
        }
        if start < pieces.count { plan.append(start..<pieces.count) }
        self.layers = layers
        self.pieces = pieces
        self.plan = plan
    }

    /// The number of planned frames.
    public var frameCount: Int { plan.count }

    /// The planned chunks, with one run for each chunk, so that the caller can fetch them.
    public var runs: [ChunkRun] {
        pieces.map { ChunkRun(layer: layers[$0.layer], chunks: $0.chunk..<$0.chunk + 1) }
    }

    /// Returns frame `number` of the plan, compressed. The frame's chunks must be in the store. Reads from the disk.
    /// Several threads may call this function at once.
    ///
    /// - Throws: the content store's errors, `StreamingError` or `CodecError`.
    public func frame(_ number: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for piece in pieces[plan[number]] {
            let layer = layers[piece.layer]
            let offset = layer.chunks.chunk(piece.chunk).content.offset
            let start = bytes.count
            bytes.append(contentsOf: repeatElement(0, count: piece.length))
            let count = try bytes.withUnsafeMutableBytes {
                try layer.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
            }
            guard count == piece.length else {
                throw StreamingError(.badPack, "failed to read chunk \(piece.chunk) of layer \(layer.digest)")
            }
        }
        return try bytes.withUnsafeBytes { try ZstdEncoder.frame($0, level: Self.level) }
    }

    /// Returns the encoded pack.
    ///
    /// - Parameter frames: the compressed bytes of all planned frames, in order.
    public func pack(_ frames: [[UInt8]]) -> [UInt8] {
        StartupPack.encode(
            layers: layers.map(\.digest), pieces: pieces,
            frames: zip(frames, plan).map { bytes, own in
                (bytes, pieces[own].reduce(0) { $0 + $1.length }, own.count)
            })
    }
}
