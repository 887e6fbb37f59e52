import Base
import Codecs
import ContentStore
import LayerIndex
import NIOCore
import Planner

/// Decodes, verifies and stores extents, and frames of startup packs; one for each decoding thread.
///
/// Copies: the compressed bytes are decoded where the network put them; a decoded chunk is written into the worker's
/// buffer, hashed there while it is warm, and written to the store from there.
struct DecodeWorker: ~Copyable {
    /// A larger buffer is given back after the extent that needed it.
    private static let keptBytes = 8 << 20
    /// For gaps: headers are a tenth of their size at any level, and a reader waits behind it.
    private static let gapLevel: Int32 = 1

    private let decoder = ExtentDecoder()
    private let counters: StreamingCounters
    private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// What the extent decodes to beside its chunks, where that is of interest.
    private var gaps: [UInt8] = []

    init(_ counters: StreamingCounters) {
        self.counters = counters
    }

    deinit {
        buffer.deallocate()
    }

    /// Brings what is missing of the job's chunks into the store. Chunks that were good are there even if a later one was not.
    mutating func run(_ job: borrowing DecodeJob) -> ExtentOutcome {
        let start = MonotonicTime.now()
        defer { counters.decodeNanoseconds.add(MonotonicTime.now().since(start)) }
        switch job.work {
        case .extent(let layer, let extent): return run(extent, of: layer.content, PieceCursor(job.pieces))
        case .frame(let frame): return run(frame, PieceCursor(job.pieces))
        }
    }

    private mutating func run(_ frame: PackFrame, _ pieces: consuming PieceCursor) -> ExtentOutcome {
        var input = pieces
        decoder.reset(.zstd)
        for item in frame.items {
            do throws(CodecError) {
                guard let content = item.layer?.content, !content.isPresent(item.chunk) else {
                    try skip(UInt64(item.length), &input)
                    continue
                }
                try fill(UInt64(item.length), &input)
                if let problem = store(content, item.chunk, content.chunks.chunk(item.chunk)) { return problem }
            } catch {
                counters.decodeFailures.add()
                return .corrupt(reason: "a frame of a startup pack cannot be decoded: \(error)")
            }
        }
        return .available
    }

    private mutating func run(
        _ number: Int, of content: StoredLayer, _ pieces: consuming PieceCursor
    ) -> ExtentOutcome {
        let extent = content.chunks.extent(number)
        var input = pieces
        do throws(CodecError) {
            try decoder.begin(extent, content.windows)
        } catch {
            counters.decodeFailures.add()
            return .corrupt(reason: "extent \(number) cannot be decoded: \(error)")
        }
        let log = content.gaps?.wants(number) == true ? content.gaps : nil
        gaps.removeAll(keepingCapacity: true)
        var position: UInt64 = 0
        for index in extent.chunks {
            let chunk = content.chunks.chunk(index)
            // Without the log, what is here need not be decoded.
            if chunk.isZeros || log == nil && content.isPresent(index) { continue }
            guard chunk.innerOffset >= position else {
                return .corrupt(reason: "chunk \(index) lies before the one in front of it")
            }
            do throws(CodecError) {
                try skip(chunk.innerOffset - position, &input, isKept: log != nil)
                try fill(chunk.content.count, &input)
            } catch {
                counters.decodeFailures.add()
                return .corrupt(reason: "extent \(number) cannot be decoded: \(error)")
            }
            position = chunk.innerOffset + chunk.content.count
            if !content.isPresent(index), let problem = store(content, index, chunk) { return problem }
        }
        counters.decodedExtents.add()
        if let log { keepGaps(number, log, &input) }
        return .available
    }

    /// Writes down what the extent decodes to beside its chunks. What goes wrong with that is nobody's problem now.
    private mutating func keepGaps(_ number: Int, _ log: TarSplitLog, _ input: inout PieceCursor) {
        do throws(CodecError) {
            try grow(64 << 10)
            while gaps.count <= TarSplitLog.maximumGaps {
                let (consumed, produced) = try input.withPiece { bytes throws(CodecError) in
                    let result = try decoder.decode(bytes, into: buffer)
                    return (result.consumed, result.produced)
                }
                gaps += UnsafeRawBufferPointer(rebasing: buffer[..<produced])
                // Behind the end of a stream lie its checksum and size, which nobody takes.
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

    /// Checks and publishes the chunk that the buffer begins with; gives what is wrong.
    private func store(_ content: StoredLayer, _ index: Int, _ chunk: Chunk) -> ExtentOutcome? {
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<Int(chunk.content.count)])
        guard Digest.of(bytes) == chunk.digest else {
            counters.digestFailures.add()
            return .corrupt(reason: "chunk \(index) does not have the digest \(chunk.digest)")
        }
        do throws(ContentStoreError) {
            try content.publish(index, bytes)
        } catch {
            counters.storeFailures.add()
            return .unstorable(reason: "\(error)")
        }
        counters.decodedBytes.add(chunk.content.count)
        return nil
    }

    /// Gives memory back that only a large extent needed. Called when an extent is done.
    mutating func trim() {
        guard buffer.count > Self.keptBytes else { return }
        buffer.deallocate()
        buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// Makes the buffer hold the next `count` decoded bytes.
    private mutating func fill(_ count: UInt64, _ input: inout PieceCursor) throws(CodecError) {
        try grow(Int(count))
        try decode(UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(count)]), &input)
    }

    /// Decodes `count` bytes that are in no chunk.
    private mutating func skip(
        _ count: UInt64, _ input: inout PieceCursor, isKept: Bool = false
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
                throw CodecError(.truncated, "the data ends after \(filled) of \(output.count) bytes")
            }
            if consumed == 0, produced == 0, !input.isEmptyPiece {
                throw CodecError(.corrupt, "the decoder does not go on")
            }
        }
    }

    private mutating func grow(_ count: Int) throws(CodecError) {
        guard buffer.count < count else { return }
        buffer.deallocate()
        // Powers of two, so that a layer of growing chunks does not allocate for each.
        var size = 64 << 10
        while size < count { size <<= 1 }
        buffer = .allocate(byteCount: size, alignment: 4096)
    }
}

/// Walks over the pieces of an extent.
private struct PieceCursor {
    private let pieces: [ByteBuffer]
    private var index = 0
    private var offset = 0

    init(_ pieces: [ByteBuffer]) {
        self.pieces = pieces
    }

    /// Whether there is nothing more.
    var isAtEnd: Bool { index >= pieces.count }
    /// Whether the next call gets no bytes.
    var isEmptyPiece: Bool { index >= pieces.count || pieces[index].readableBytes == offset }

    /// Gives `body` what is left of the current piece (nothing at the end: the decoder may still have output), and goes on
    /// by what it says it consumed.
    mutating func withPiece(
        _ body: (UnsafeRawBufferPointer) throws(CodecError) -> (consumed: Int, produced: Int)
    ) throws(CodecError) -> (consumed: Int, produced: Int) {
        guard index < pieces.count else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        let result = pieces[index].withUnsafeReadableBytes { bytes in
            Result { () throws(CodecError) in try body(UnsafeRawBufferPointer(rebasing: bytes[offset...])) }
        }
        let (consumed, produced) = try result.get()
        offset += consumed
        if offset >= pieces[index].readableBytes {
            index += 1
            offset = 0
        }
        return (consumed, produced)
    }
}
