import Base
import Codecs
import LayerIndex

/// A reader that decompresses a table of contents (TOC), which is a JSON text, and scans the text in windows: parts of
/// the text. The whole text is never in memory.
struct TOCReader: ~Copyable {
    /// The number of text bytes in memory at a time, unless one entry is larger. A window of this size fits into the
    /// second-level cache.
    private static let windowSize = 256 << 10
    /// The maximum number of zero bytes after the text. A tar archive pads the text's last block with zeros and ends
    /// with two zero blocks. Some writers add more zeros to fill a tape record.
    private static let trailingZeros = 1 << 20

    private let limits: LayerFormatLimits
    private let compressed: [ArraySlice<UInt8>]
    /// The size in bytes of the JSON text in a zstd frame; `nil` if the text is the only file in a tar archive.
    private let bareSize: UInt64?
    private let compressedSize: UInt64
    private var slice = 0
    private var offset = 0
    private let decoder = ExtentDecoder()
    private var finished = false
    private var meter: WorkMeter

    private var memory: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var count = 0

    /// Creates a reader of a compressed TOC, in one of two forms:
    ///
    /// - A gzip member that holds a tar archive. The only file in the archive is the JSON text of the TOC (eStargz).
    /// - A zstd frame that holds the JSON text without a tar archive (zstd:chunked).
    ///
    /// - Parameters:
    ///   - compressed: the gzip member or the zstd frame, as consecutive pieces.
    ///   - zstdSize: the size in bytes of the JSON text in a zstd frame; `nil` for a gzip member, because the tar
    ///     header states the size of the text.
    ///   - limits: the limits for the sizes of the JSON text and its entries. ``readAll(into:)`` throws if the TOC
    ///     exceeds a limit.
    ///   - deadline: the deadline of the whole work.
    init(
        _ compressed: [ArraySlice<UInt8>], zstdSize: UInt64? = nil, limits: LayerFormatLimits,
        by deadline: WorkDeadline = .never
    ) {
        meter = WorkMeter(deadline)
        bareSize = zstdSize
        self.compressed = compressed.filter { !$0.isEmpty }
        compressedSize = compressed.reduce(0) { $0 + UInt64($1.count) }
        self.limits = limits
        capacity = Self.windowSize
        memory = .allocate(capacity: Self.windowSize + JSONCursor.padding)
        decoder.reset(zstdSize == nil ? .gzip : .zstd)
    }

    deinit {
        memory.deallocate()
    }

    /// Passes every entry to `loader`.
    ///
    /// - Returns: the digest of all bytes of the JSON text.
    mutating func readAll(into loader: inout TOCLoader) throws(LayerFormatError) -> Digest {
        var remaining = try textSize()
        // The window is empty, so its zero padding begins at the start of the memory.
        memory.initialize(repeating: 0, count: JSONCursor.padding)
        var hasher = DigestHasher()
        var scanner = TOCScanner(limits: limits)
        while true {
            switch try scanner.next(UnsafeBufferPointer(start: memory, count: count), isLast: remaining == 0) {
            case .entry:
                try loader.add(scanner, in: UnsafeBufferPointer(start: memory, count: count))
            case .end:
                try readPadding()
                return hasher.finish()
            case .needMore:
                try makeRoom(after: scanner.position)
                scanner.windowMoved(by: scanner.position)
                let room = Int(min(UInt64(capacity - count), remaining))
                let added = UnsafeMutableRawBufferPointer(start: memory + count, count: room)
                guard try decode(into: added) == room else {
                    throw LayerFormatError(.badTOC, "the TOC is cut short")
                }
                hasher.update(UnsafeRawBufferPointer(added))
                remaining -= UInt64(room)
                count += room
                (memory + count).initialize(repeating: 0, count: JSONCursor.padding)
            }
        }
    }

    /// Returns the size of the JSON text, and reads the tar header before the text, if there is one.
    private mutating func textSize() throws(LayerFormatError) -> UInt64 {
        let size: UInt64
        if let bareSize { size = bareSize } else { size = try readHeader() }
        guard size <= limits.textSize(compressed: compressedSize) else {
            throw LayerFormatError(.limit, "a TOC of \(size) bytes, and of \(compressedSize) compressed bytes")
        }
        return size
    }

    private mutating func readHeader() throws(LayerFormatError) -> UInt64 {
        let block = UnsafeMutableRawBufferPointer(start: memory, count: TarHeader.blockSize)
        guard try decode(into: block) == block.count else { throw LayerFormatError(.badTOC, "the TOC is cut short") }
        let header: TarHeader
        do {
            header = try TarHeader(UnsafeRawBufferPointer(block))
        } catch {
            throw LayerFormatError(.badTOC, "the TOC is no tar archive", cause: error)
        }
        guard header.name == TOCNames.toc, header.type == UInt8(ascii: "0") || header.type == 0 else {
            throw LayerFormatError(.badTOC, "the TOC's tar entry is not a file called stargz.index.json")
        }
        return header.size
    }

    /// Verifies that only zeros follow the text, at most ``trailingZeros``, and that the compressed data is complete.
    private mutating func readPadding() throws(LayerFormatError) {
        var zeros = 0
        while true {
            let produced = try decode(into: UnsafeMutableRawBufferPointer(start: memory, count: Self.windowSize))
            guard produced > 0 else { break }
            guard UnsafeBufferPointer(start: memory, count: produced).allSatisfy({ $0 == 0 }) else {
                throw LayerFormatError(.badTOC, "something comes after the TOC's text")
            }
            zeros += produced
            guard zeros <= Self.trailingZeros else {
                throw LayerFormatError(.badTOC, "more than \(Self.trailingZeros) zeros after the TOC's text")
            }
        }
        guard finished else { throw LayerFormatError(.badTOC, "the compressed TOC is cut short") }
    }

    /// Removes the window's bytes before `position`. If the window is still full, enlarges it.
    private mutating func makeRoom(after position: Int) throws(LayerFormatError) {
        count -= position
        if position > 0 { memory.update(from: memory + position, count: count) }
        guard count == capacity else { return }
        guard capacity < limits.entryText else {
            throw LayerFormatError(.limit, "a TOC entry of more than \(limits.entryText) bytes")
        }
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * 2 + JSONCursor.padding)
        larger.update(from: memory, count: count)
        memory.deallocate()
        memory = larger
        capacity *= 2
    }

    /// Decodes the next bytes into `output` and returns their number. The number is below `output.count` only at the
    /// end of the data.
    private mutating func decode(into output: UnsafeMutableRawBufferPointer) throws(LayerFormatError) -> Int {
        var produced = 0
        while produced < output.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: output[produced...])
            let step: (consumed: Int, produced: Int, finished: Bool)
            do {
                let input = slice < compressed.count ? compressed[slice].dropFirst(offset) : []
                step = try input.withUnsafeBufferPointer { (bytes) throws(CodecError) in
                    try decoder.decode(UnsafeRawBufferPointer(bytes), into: rest)
                }
            } catch {
                throw LayerFormatError(.badTOC, "the TOC cannot be decompressed", cause: error)
            }
            // Members without data take time, too.
            do {
                try meter.count(1 + (step.consumed + step.produced) / 256)
            } catch {
                throw LayerFormatError(.deadline, "the TOC cannot be read", cause: error)
            }
            produced += step.produced
            offset += step.consumed
            finished = step.finished
            if slice < compressed.count, offset == compressed[slice].count {
                slice += 1
                offset = 0
            } else if step.consumed == 0, step.produced == 0 {
                break
            }
        }
        return produced
    }
}
