import Base
import Codecs
import ContentStore
import LayerIndex
import Planner

/// The worker of a decoding thread. It decodes extents and the frames of startup packs, verifies their chunks, and
/// stores the chunks.
///
/// The worker decodes the compressed bytes directly from the network buffers in which they arrived. It decodes one
/// chunk at a time into a reused buffer, and hashes the chunk there while it is warm in the CPU cache. It then writes
/// the chunk from this buffer to the store.
struct DecodeWorker: ~Copyable {
    /// The size of the largest buffer that the worker keeps between jobs, in bytes.
    private static let keptBytes = 8 << 20
    /// The zstd level at which the worker compresses gaps (the decoded bytes outside all chunks) for the
    /// ``TarSplitLog``. The level is low because a reader may be waiting. A higher level would gain little: gaps are
    /// mostly tar headers, which shrink to a tenth at any level.
    private static let gapLevel: Int32 = 1

    private let decoder = ExtentDecoder()
    private let counters: StreamingCounters
    private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// The gaps: the decoded bytes of the current extent that lie outside its chunks. Empty unless the layer has a
    /// ``TarSplitLog`` that still needs the gaps of this extent.
    private var gaps: [UInt8] = []

    init(_ counters: StreamingCounters) {
        self.counters = counters
    }

    deinit {
        buffer.deallocate()
    }

    /// Decodes a job and stores its missing chunks. Stops at the first chunk that cannot be decoded or verified. The
    /// chunks before it stay in the store.
    ///
    /// Keeps a chunk in memory that the store does not take. The outcome is then `unstorable`, unless the job fails.
    mutating func run(_ job: borrowing DecodeJob) -> ExtentOutcome {
        let start = MonotonicTime.now()
        defer { counters.decodeNanoseconds.add(MonotonicTime.now().since(start)) }
        switch job.work {
        case .extent(let layer, let extent): return run(extent, of: layer.content, pieces: PieceCursor(job.pieces))
        case .frame(let frame): return run(frame, PieceCursor(job.pieces))
        case .part(let part):
            // The recovery collects the outcomes of extents.
            part.recovery.decode(job.pieces, isLast: part.isLast)
            return .available
        }
    }

    private mutating func run(_ frame: PackFrame, _ pieces: consuming PieceCursor) -> ExtentOutcome {
        var input = pieces
        var outcome = ExtentOutcome.available
        decoder.reset(.zstd)
        for item in frame.items {
            do throws(CodecError) {
                guard let content = item.layer?.content, !content.isPresent(item.chunk) else {
                    try skip(UInt64(item.length), of: &input)
                    continue
                }
                try fill(UInt64(item.length), &input)
                outcome.add(store(content.chunks.chunk(item.chunk), number: item.chunk, of: content))
                if case .corrupt = outcome { return outcome }
            } catch {
                counters.decodeFailures.add()
                return .corrupt(reason: "frame of a startup pack: \(error)")
            }
        }
        return outcome
    }

    private mutating func run(
        _ number: Int, of content: StoredLayer, pieces: consuming PieceCursor
    ) -> ExtentOutcome {
        let extent = content.chunks.extent(number)
        var input = pieces
        do throws(CodecError) {
            try decoder.begin(extent, content.windows)
        } catch {
            counters.decodeFailures.add()
            return .corrupt(reason: "extent \(number): \(error)")
        }
        let log = content.gaps?.wants(number) == true ? content.gaps : nil
        gaps.removeAll(keepingCapacity: true)
        var position: UInt64 = 0
        var outcome = ExtentOutcome.available
        for index in extent.chunks {
            let chunk = content.chunks.chunk(index)
            // A present chunk is decoded only if gaps are logged. Decoding it separately keeps its bytes out of the
            // gaps.
            if chunk.isZeros || log == nil && content.isPresent(index) { continue }
            guard chunk.innerOffset >= position else {
                return .corrupt(reason: "chunk \(index) overlaps the previous one")
            }
            do throws(CodecError) {
                try skip(chunk.innerOffset - position, of: &input, isKept: log != nil)
                try fill(chunk.content.count, &input)
            } catch {
                counters.decodeFailures.add()
                return .corrupt(reason: "extent \(number): \(error)")
            }
            position = chunk.innerOffset + chunk.content.count
            guard !content.isPresent(index) else { continue }
            outcome.add(store(chunk, number: index, of: content))
            if case .corrupt = outcome { return outcome }
        }
        counters.decodedExtents.add()
        if let log { keepGaps(of: number, in: log, input: &input) }
        return outcome
    }

    /// Decodes the bytes after the extent's last chunk, which are the last gap. Then logs all gaps of the extent (the
    /// decoded bytes outside its chunks) for the verification of the layer.
    ///
    /// Logs nothing if decoding fails or the gaps exceed ``TarSplitLog/maximumGaps`` bytes. The verification then reads
    /// the extent from the registry.
    private mutating func keepGaps(of number: Int, in log: TarSplitLog, input: inout PieceCursor) {
        do throws(CodecError) {
            try grow(64 << 10)
            while gaps.count <= TarSplitLog.maximumGaps {
                let (consumed, produced) = try input.withPiece { bytes throws(CodecError) in
                    let result = try decoder.decode(bytes, into: buffer)
                    return (result.consumed, result.produced)
                }
                gaps += UnsafeRawBufferPointer(rebasing: buffer[..<produced])
                // The decoder does not consume the checksum and size that follow the compressed stream. So the loop
                // must end when the decoder neither consumes nor produces bytes.
                if consumed == 0, produced == 0, input.isAtEnd || !input.isEmptyPiece { break }
            }
            guard gaps.count <= TarSplitLog.maximumGaps else { return }
            let stored = try gaps.withUnsafeBufferPointer { (gaps) throws(CodecError) in
                try ZstdEncoder.frame(UnsafeRawBufferPointer(gaps), level: Self.gapLevel)
            }
            log.append(number, byteCount: gaps.count, stored: stored)
        } catch {}
        if gaps.capacity > Self.keptBytes { gaps = [] }
    }

    /// Verifies and publishes the chunk at the beginning of the buffer. Keeps it in memory if the store does not take
    /// it.
    private func store(_ chunk: Chunk, number index: Int, of content: StoredLayer) -> ExtentOutcome {
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<Int(chunk.content.count)])
        guard Digest.of(bytes) == chunk.digest else {
            counters.digestFailures.add()
            return .corrupt(reason: "chunk \(index) does not match digest \(chunk.digest)")
        }
        do throws(ContentStoreError) {
            try content.publish(index, bytes)
        } catch {
            counters.storeFailures.add()
            content.keepInMemory(index, bytes)
            return error.code == .busy ? .available : .unstorable(reason: "\(error)")
        }
        counters.decodedBytes.add(chunk.content.count)
        return .available
    }

    /// Releases the buffer if it is larger than ``keptBytes``.
    mutating func trim() {
        guard buffer.count > Self.keptBytes else { return }
        buffer.deallocate()
        buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// Decodes the next `count` bytes into the buffer.
    private mutating func fill(_ count: UInt64, _ input: inout PieceCursor) throws(CodecError) {
        try grow(Int(count))
        try decode(UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(count)]), &input)
    }

    /// Decodes the next `count` bytes, which belong to no wanted chunk. If `isKept` is true, appends them to ``gaps``
    /// until ``gaps`` exceeds ``TarSplitLog/maximumGaps`` bytes.
    private mutating func skip(
        _ count: UInt64, of input: inout PieceCursor, isKept: Bool = false
    ) throws(CodecError) {
        guard count > 0 else { return }
        try grow(Int(min(count, 64 << 10)))
        var rest = count
        while rest > 0 {
            let step = Int(min(rest, UInt64(buffer.count)))
            try decode(UnsafeMutableRawBufferPointer(rebasing: buffer[..<step]), &input)
            if isKept, gaps.count <= TarSplitLog.maximumGaps {
                gaps += UnsafeRawBufferPointer(rebasing: buffer[..<step])
            }
            rest -= UInt64(step)
        }
    }

    private func decode(
        _ output: UnsafeMutableRawBufferPointer, _ input: inout PieceCursor
    ) throws(CodecError) {
        var filled = 0
        while filled < output.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: output[filled...])
            let (consumed, produced) = try input.withPiece { bytes throws(CodecError) in
                let result = try decoder.decode(bytes, into: rest)
                return (result.consumed, result.produced)
            }
            filled += produced
            if consumed == 0, produced == 0, input.isAtEnd {
                throw CodecError(.truncated, "truncated after \(filled) of \(output.count) bytes")
            }
            if consumed == 0, produced == 0, !input.isEmptyPiece {
                throw CodecError(.corrupt, "the decoder makes no progress")
            }
        }
    }

    private mutating func grow(_ count: Int) throws(CodecError) {
        guard buffer.count < count else { return }
        buffer.deallocate()
        // Uses powers of two, so that a series of growing chunks does not cause an allocation for each chunk.
        var size = 64 << 10
        while size < count { size <<= 1 }
        buffer = .allocate(byteCount: size, alignment: 4096)
    }
}

extension ExtentOutcome {
    /// Adds the outcome of a chunk to the outcome of its job. An outcome that is not `available` stays, unless it gets
    /// worse.
    fileprivate mutating func add(_ chunk: ExtentOutcome) {
        switch chunk {
        case .available: break
        case .unstorable: if case .available = self { self = chunk }
        case .corrupt: self = chunk
        }
    }
}
