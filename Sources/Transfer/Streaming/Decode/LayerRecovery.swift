import Base
import Concurrency
import ContentStore
import LayerFormats
import LayerIndex
import NIOCore
import Planner

/// The decoding of a layer's own blob from its first byte, for the layer's missing chunks.
///
/// The blob may differ from the one that the layer's chunk table describes. So the extents of the table do not help:
/// this class decodes the archive, cuts its files as the index does (`ArchiveCutter`), and finds each piece by its
/// digest. A piece whose digest is not in the chunk table is never stored.
final class LayerRecovery: Sendable {
    /// A part of the blob, for a decoding thread. Only one part is decoded at a time, in the order of the blob.
    struct Part: Sendable {
        let recovery: LayerRecovery
        /// True if this part ends the blob.
        let isLast: Bool
        /// The signal that the part is decoded and reported.
        let done: OneShot<Void>
    }

    /// The maximum number of bytes of all pieces of a file that is cut in several ways.
    private static let maximumBuffered = 64 << 20
    /// The maximum capacity of a buffer that is kept for the next piece.
    private static let keptBytes = 8 << 20

    private struct State {
        let decoder: ArchiveDecoder
        let cutter: ArchiveCutter
        /// The missing chunks, in the order of their digests; `nil` before the first piece.
        var wanted: [UInt32]?
        /// For each of ``wanted``, true if its bytes have come.
        var delivered: [Bool] = []
        /// The current piece of each way in which the current file is cut; `nil` for a piece that was dropped.
        var pieces: [[UInt8]?] = []
        var outcomes: [Int: ExtentOutcome] = [:]
        var failure: LayerFormatError?
    }

    let layer: AttachedLayer
    private let counters: StreamingCounters
    private let state: Guarded<State>

    init(_ layer: AttachedLayer, counters: StreamingCounters) {
        self.layer = layer
        self.counters = counters
        let content = layer.content
        // The files that only describe a layer have no chunks, so they need not be skipped.
        state = Guarded(
            State(
                decoder: ArchiveDecoder(),
                cutter: ArchiveCutter(tree: content.tree, chunks: content.chunks, skipsDescription: false)))
    }

    /// The reason why the blob cannot be decoded any further; `nil` if there is none.
    var failure: LayerFormatError? { state.withLock { $0.failure } }

    /// True if the blob had every chunk that was missing when the recovery began. The store may have evicted some of
    /// them since, or never have taken them.
    var hasAll: Bool { state.withLock { $0.failure == nil && $0.wanted != nil && $0.delivered.allSatisfy { $0 } } }

    /// Decodes the next bytes of the blob, and publishes the missing chunks in them. Keeps chunks in memory that the
    /// store does not take. Does nothing after a failure.
    func decode(_ buffers: [ByteBuffer], isLast: Bool) {
        state.withLock { state in
            guard state.failure == nil else { return }
            do throws(LayerFormatError) {
                let (decoder, cutter) = (state.decoder, state.cutter)
                for buffer in buffers {
                    // `withUnsafeReadableBytes` does not support typed errors.
                    let result = buffer.withUnsafeReadableBytes { bytes in
                        Result { () throws(LayerFormatError) in
                            try decoder.push(bytes) { (made) throws(LayerFormatError) in
                                try cut(made, with: cutter, &state)
                            }
                        }
                    }
                    try result.get()
                }
                guard isLast else { return }
                try decoder.finish { (made) throws(LayerFormatError) in try cut(made, with: cutter, &state) }
                try cutter.finish()
            } catch {
                state.failure = error
            }
        }
    }

    /// Removes and returns the outcomes of the extents that were recovered since the last call, by extent number.
    func takeOutcomes() -> [Int: ExtentOutcome] {
        state.withLock { state in
            defer { state.outcomes = [:] }
            return state.outcomes
        }
    }

    private func cut(
        _ archive: UnsafeRawBufferPointer, with cutter: ArchiveCutter, _ state: inout State
    ) throws(LayerFormatError) {
        try cutter.push(archive) { (event) throws(LayerFormatError) in
            switch event {
            case .entry(_, let ways): state.pieces = Array(repeating: [], count: ways)
            case .content(let bytes, let way): append(bytes, to: way, &state)
            case .pieceEnd(let way): endPiece(way, &state)
            // A chunk in a hole consists of zeros, and such a chunk is never missing.
            case .hole, .end: break
            }
        }
    }

    private func append(_ bytes: UnsafeRawBufferPointer, to way: Int, _ state: inout State) {
        guard state.pieces[way] != nil else { return }
        // The first way is nearly always the right one.
        if way > 0, state.pieces.reduce(bytes.count, { $0 + ($1?.count ?? 0) }) > Self.maximumBuffered {
            state.pieces[way] = nil
        } else {
            state.pieces[way]?.append(contentsOf: bytes)
        }
    }

    private func endPiece(_ way: Int, _ state: inout State) {
        // With a second reference, the buffer could not be used again.
        guard var piece = state.pieces[way].take() else {
            state.pieces[way] = []
            return
        }
        publish(piece, &state)
        if piece.capacity > Self.keptBytes { piece = [] } else { piece.removeAll(keepingCapacity: true) }
        state.pieces[way] = piece
    }

    /// Publishes all missing chunks that have these bytes.
    private func publish(_ piece: [UInt8], _ state: inout State) {
        let content = layer.content
        let wanted = state.wanted ?? Self.missing(content)
        if state.wanted == nil {
            (state.wanted, state.delivered) = (wanted, Array(repeating: false, count: wanted.count))
        }
        let digest = Digest.of(piece)
        var place = Self.first(digest, in: wanted, of: content.chunks)
        while place < wanted.count {
            let number = Int(wanted[place])
            let chunk = content.chunks.chunk(number)
            guard chunk.digest == digest else { break }
            if chunk.content.count == UInt64(piece.count) {
                state.delivered[place] = true
                publish(piece, number, of: chunk.extent, &state)
            }
            place += 1
        }
    }

    private func publish(_ piece: [UInt8], _ number: Int, of extent: Int, _ state: inout State) {
        let content = layer.content
        var unstorable: ContentStoreError?
        if !content.isPresent(number) {
            piece.withUnsafeBufferPointer { bytes in
                let bytes = UnsafeRawBufferPointer(bytes)
                do throws(ContentStoreError) {
                    try content.publish(number, bytes)
                    counters.decodedBytes.add(UInt64(piece.count))
                } catch {
                    counters.storeFailures.add()
                    content.keepInMemory(number, bytes)
                    if error.code != .busy { unstorable = error }
                }
            }
        }
        // The extent's other chunks may have come from elsewhere.
        guard content.chunks.extent(extent).chunks.allSatisfy(content.isAvailable) else { return }
        state.outcomes[extent] = unstorable.map { .unstorable(reason: "\($0)") } ?? .available
    }

    /// Returns the numbers of the missing chunks, in the order of their digests.
    private static func missing(_ content: StoredLayer) -> [UInt32] {
        var missing: [UInt32] = []
        var next = content.missing(in: 0..<content.chunks.chunkCount)
        while let chunk = next {
            missing.append(UInt32(clamping: chunk))
            next = content.missing(in: chunk + 1..<content.chunks.chunkCount)
        }
        missing.sort { content.chunks.chunk(Int($0)).digest < content.chunks.chunk(Int($1)).digest }
        return missing
    }

    /// Returns the index of the first element of `wanted` whose chunk has at least this digest.
    private static func first(_ digest: Digest, in wanted: [UInt32], of chunks: ChunkTable) -> Int {
        var (low, high) = (0, wanted.count)
        while low < high {
            let middle = (low + high) / 2
            if chunks.chunk(Int(wanted[middle])).digest < digest { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
