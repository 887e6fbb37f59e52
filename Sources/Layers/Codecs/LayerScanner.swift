public import Base
import CZlib

/// A decoder of a complete layer blob in any compression. It also divides the blob into extents, its smallest decodable
/// pieces.
///
/// The scanner decodes from front to back. It begins new extents at positions in the middle of the blob where a reader
/// can start to decode. The caller passes input and room for output, step by step.
///
///     let step = try scanner.scan(input, into: output)
///     // use output[..<step.produced]; then, if step.boundary is set, a new extent begins
///
/// The first extent begins at the first byte. Each extent decodes to at least ``span`` bytes, with two exceptions:
///
/// - The last extent ends with the blob.
/// - An extent that begins in the middle of a gzip member ends with that member at the latest.
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class LayerScanner {
    /// The result of one call of ``LayerScanner/scan(_:into:)``.
    public struct Step {
        /// The number of input bytes consumed. The caller passes the bytes after them again.
        public var consumed = 0
        /// The number of bytes written to the start of the output.
        public var produced = 0
        /// The start of a new extent after the consumed bytes; `nil` if no extent begins there. If the blob ends there,
        /// ignore the boundary.
        public var boundary: Boundary?
        /// True if the step made no progress. Then pass more input, or call ``LayerScanner/finish()`` at the end of the
        /// blob.
        public var isIdle = false
    }

    /// The beginning of an extent.
    public struct Boundary: Sendable, Equatable {
        /// The extent's offset in the blob. The previous extent ends here.
        public let offset: UInt64
        public let codec: Codec
        /// The restart point of a ``Codec/deflate`` extent; `nil` for other codecs. To decode from the restart point, a
        /// reader also needs decoded data from before the extent. ``LayerScanner/takeWindow()`` returns that data
        /// later.
        public let restart: DeflateRestart?
    }

    /// The decoded data before a boundary in a DEFLATE stream. Zeros replace the bytes to which the data after the
    /// boundary does not refer.
    public struct Window: Sendable, Equatable {
        /// The boundary's offset in the blob.
        public let offset: UInt64
        /// The decoded data that ends at the boundary, at most 32 KiB. Unneeded bytes at the start are left out. Empty
        /// if the data after the boundary refers to no earlier data.
        public let bytes: [UInt8]
    }

    /// The minimum decoded size of an extent in bytes. Two kinds of extent may be smaller: the blob's last extent, and
    /// an extent that begins in the middle of a gzip member and ends with the member.
    public static let span: UInt64 = 256 << 10
    /// The maximum decoded size of a zstd frame in bytes. The scanner refuses longer frames, because decoding can only
    /// begin at the start of a frame: to get one byte, a reader must fetch the frame up to that byte.
    public static let longestFrame: UInt64 = 4 << 20

    private enum Inner {
        /// The state before the first four bytes, which identify the codec.
        case unknown
        case raw
        case gzip(GzipScanner)
        case zstd(ZstdDecoder)
    }

    private var inner = Inner.unknown
    /// The number of blob bytes consumed so far.
    public private(set) var inputOffset: UInt64 = 0
    /// The number of bytes decoded so far.
    public private(set) var outputOffset: UInt64 = 0
    private var extentStart: UInt64 = 0
    private var isFrameOpen = false
    /// The offset of the current zstd frame in the decoded data.
    private var frameStart: UInt64 = 0

    public init() {}

    /// Returns and removes the oldest complete window; `nil` if no window is complete. Windows come in the order of
    /// their boundaries. A window is complete once the scanner has decoded the first 32 KiB after its boundary, or has
    /// reached the end of the gzip member that contains the boundary.
    public func takeWindow() -> Window? {
        guard case .gzip(let gzip) = inner else { return nil }
        return gzip.takeWindow()
    }

    /// Decodes some of `input` into `output`.
    ///
    /// The codec of a blob shows in its first four bytes. So a call with fewer bytes at the start of the blob returns
    /// an idle step. The first call with at least four bytes only detects the codec: it decodes nothing, and returns
    /// the boundary at which the first extent begins, with offset 0.
    ///
    /// - Throws: `undivided` if a zstd frame is longer than ``longestFrame``; otherwise the decoder's ``CodecError``.
    public func scan(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CodecError) -> Step {
        var step = Step()
        switch inner {
        case .unknown: return try begin(input)
        case .raw:
            let untilBoundary = Int(Self.span - (outputOffset - extentStart))
            let count = min(input.count, output.count, untilBoundary)
            if count > 0 { output.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<count])) }
            (step.consumed, step.produced) = (count, count)
            advance(step)
            if outputOffset - extentStart >= Self.span { step.boundary = boundary(.raw) }
        case .zstd(let decoder):
            let result = try decoder.decode(input, into: output, stopsAtFrame: true)
            (step.consumed, step.produced) = (result.consumed, result.produced)
            advance(step)
            if result.consumed > 0 || result.produced > 0 { isFrameOpen = !result.finished }
            if result.finished {
                frameStart = outputOffset
                if outputOffset - extentStart >= Self.span { step.boundary = boundary(.zstd) }
            } else if outputOffset - frameStart > Self.longestFrame {
                throw CodecError(.undivided, "a zstd frame of more than \(Self.longestFrame) bytes")
            }
        case .gzip(let gzip):
            let place = try gzip.scan(input, into: output, inExtent: outputOffset - extentStart, step: &step)
            advance(step)
            switch place {
            case .none: break
            case .member: step.boundary = boundary(.gzip)
            case .block(let restart): step.boundary = boundary(.deflate, restart)
            }
        }
        step.isIdle = step.consumed == 0 && step.produced == 0 && step.boundary == nil
        return step
    }

    /// Ends the input and verifies that the blob is complete.
    ///
    /// - Throws: `truncated` if the blob ends in the middle of a member or frame.
    public func finish() throws(CodecError) {
        switch inner {
        case .unknown, .raw: break
        case .zstd: if isFrameOpen { throw CodecError(.truncated, "truncated zstd frame") }
        case .gzip(let gzip): try gzip.finish()
        }
    }

    /// Detects the codec from the first four bytes of the blob. Returns the boundary at which the first extent begins,
    /// with offset 0. If `input` has fewer than four bytes, returns an idle step.
    private func begin(_ input: UnsafeRawBufferPointer) throws(CodecError) -> Step {
        guard input.count >= 4 else { return Step(isIdle: true) }
        switch Codec(startOf: input) {
        case .gzip:
            inner = .gzip(try GzipScanner())
            return Step(boundary: boundary(.gzip))
        case .zstd:
            guard let decoder = ZstdDecoder(maximumWindowLog: ExtentDecoder.standardWindowLog) else {
                throw CodecError(.outOfMemory, "no memory for a zstd decoder")
            }
            inner = .zstd(decoder)
            return Step(boundary: boundary(.zstd))
        case .raw, .deflate:
            inner = .raw
            return Step(boundary: boundary(.raw))
        }
    }

    private func advance(_ step: Step) {
        inputOffset += UInt64(step.consumed)
        outputOffset += UInt64(step.produced)
    }

    private func boundary(_ codec: Codec, _ restart: DeflateRestart? = nil) -> Boundary {
        extentStart = outputOffset
        return Boundary(offset: inputOffset, codec: codec, restart: restart)
    }
}

/// A scanner of gzip members. It uses zlib, the only library that stops at the end of each DEFLATE block and reports
/// the bit position there.
private final class GzipScanner {
    enum Place {
        case none
        /// The start of a member.
        case member
        /// The start of a block.
        case block(DeflateRestart)
    }

    /// A boundary whose window is not complete yet.
    private struct Pending {
        let offset: UInt64
        let restart: DeflateRestart
        let window: [UInt8]
        /// The bytes of the blob that the scanner has consumed since the boundary.
        var input: [UInt8] = []
        var decoded = 0
    }

    private let stream: UnsafeMutablePointer<z_stream>
    private var offset: UInt64 = 0
    private var lastByte: UInt8 = 0
    private var isMemberOpen = false
    /// True if the current extent began in the middle of the open member.
    private var isWithinMember = false
    private var pending: Pending?
    private var reduction = DeflateWindow()
    private var windows: [LayerScanner.Window] = []

    init() throws(CodecError) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // Adding 16 to the window bits selects the gzip wrapper, whose checksum zlib then verifies.
        let result = inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else {
            stream.deallocate()
            throw CodecError(.outOfMemory, "no memory for a gzip decoder")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    func takeWindow() -> LayerScanner.Window? {
        windows.isEmpty ? nil : windows.removeFirst()
    }

    func scan(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, inExtent: UInt64,
        step: inout LayerScanner.Step
    ) throws(CodecError) -> Place {
        guard !output.isEmpty else { return .none }
        if !isMemberOpen {
            guard !input.isEmpty else { return .none }
            // Zeros after the last member are padding (GNU gzip, "Output may be padded").
            if input.first == 0, offset > 0 {
                step.consumed = input.prefix { $0 == 0 }.count
                offset += UInt64(step.consumed)
                return .none
            }
            if offset > 0 { inflateReset(stream) }
            isMemberOpen = true
            if isWithinMember || inExtent >= LayerScanner.span {
                isWithinMember = false
                return .member
            }
        }
        // zlib only reads through `next_in`.
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(min(input.count, 1 << 30))
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(min(output.count, 1 << 30))
        let result = inflate(stream, Z_BLOCK)
        step.consumed = min(input.count, 1 << 30) - Int(stream.pointee.avail_in)
        step.produced = min(output.count, 1 << 30) - Int(stream.pointee.avail_out)
        stream.pointee.next_in = nil
        stream.pointee.next_out = nil
        guard result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR else {
            throw Self.error(result, offset)
        }
        try use(input.prefix(step.consumed), step.produced)
        if result == Z_STREAM_END {
            isMemberOpen = false
            try settle()
            return .none
        }
        // zlib.h describes `data_type`. Bit 128 is set if inflate() stopped at the end of a block (or of the header),
        // bit 64 if the block was the last. The low bits are the number of unused bits in the last byte.
        let state = stream.pointee.data_type
        guard state & 128 != 0, state & 64 == 0, inExtent + UInt64(step.produced) >= LayerScanner.span else {
            return .none
        }
        try settle()
        let restart = DeflateRestart(bitCount: UInt8(state & 7), following: lastByte)
        pending = Pending(offset: offset, restart: restart, window: window())
        isWithinMember = true
        return .block(restart)
    }

    func finish() throws(CodecError) {
        if isMemberOpen { throw CodecError(.truncated, "truncated gzip member") }
        try settle()
    }

    private func use(_ input: Slice<UnsafeRawBufferPointer>, _ produced: Int) throws(CodecError) {
        offset += UInt64(input.count)
        if let last = input.last { lastByte = last }
        guard pending != nil else { return }
        pending?.input.append(contentsOf: input)
        pending?.decoded += produced
        if pending?.decoded ?? 0 >= DeflateRestart.windowSize { try settle() }
    }

    /// Completes the pending window, if there is one. Zeros replace the bytes to which no later data refers. Call this
    /// once all data that may refer to the window is decoded.
    private func settle() throws(CodecError) {
        guard let known = pending else { return }
        pending = nil
        windows.append(
            LayerScanner.Window(
                offset: known.offset,
                bytes: try reduction.reduced(known.window, at: known.restart, followedBy: known.input)))
    }

    /// Returns the most recently decoded bytes, at most 32 KiB.
    private func window() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: DeflateRestart.windowSize) { buffer, count in
            var length: UInt32 = 0
            let result = inflateGetDictionary(stream, buffer.baseAddress, &length)
            count = result == Z_OK ? min(Int(length), DeflateRestart.windowSize) : 0
        }
    }

    private static func error(_ result: Int32, _ offset: UInt64) -> CodecError {
        switch result {
        case Z_MEM_ERROR: CodecError(.outOfMemory, "no memory for a gzip decoder")
        case Z_NEED_DICT: CodecError(.unsupported, "gzip data requires a preset dictionary")
        default: CodecError(.corrupt, "gzip data is corrupt at about byte \(offset)")
        }
    }
}
