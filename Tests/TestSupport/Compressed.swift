import CZlib
import CZstd
public import Codecs

/// Compressed members and frames that the reference libraries make.
public enum Compressed {
    /// Returns `data` in the format of `codec`: one gzip member, one zstd frame, one DEFLATE stream, or unchanged.
    public static func member(_ data: [UInt8], codec: Codec, level: Int32 = 6) -> [UInt8] {
        switch codec {
        case .raw: data
        case .gzip: gzip(data, level: level)
        case .zstd: zstd(data, level: level)
        // zlib's gzip header has ten bytes; the checksum and the size follow the stream.
        case .deflate: Array(gzip(data, level: level).dropFirst(10).dropLast(8))
        }
    }

    /// Returns `data` as one gzip member.
    public static func gzip(_ data: [UInt8], level: Int32 = 6) -> [UInt8] {
        var stream = GzipStream(level: level)
        stream.write(data)
        return stream.finish()
    }

    /// Returns `data` as one zstd frame. A `windowLog` other than 0 forces that window size, and the frame header
    /// declares it.
    public static func zstd(_ data: [UInt8], level: Int32 = 3, windowLog: Int32 = 0) -> [UInt8] {
        guard let context = ZSTD_createCCtx() else { preconditionFailure("no memory for a zstd context") }
        defer { ZSTD_freeCCtx(context) }
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        if windowLog > 0 {
            ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, windowLog)
            // Otherwise a small input shrinks the window to its own size.
            ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)
        }
        var output = [UInt8](repeating: 0, count: ZSTD_compressBound(data.count) + 64)
        var target = ZSTD_outBuffer(dst: nil, size: output.count, pos: 0)
        output.withUnsafeMutableBytes { out in
            data.withUnsafeBytes { bytes in
                target.dst = out.baseAddress
                var source = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
                // Streaming keeps the window that was asked for; the output is large enough for one call.
                let rest =
                    windowLog > 0
                    ? ZSTD_compressStream2(context, &target, &source, ZSTD_e_continue)
                    : 0
                precondition(ZSTD_isError(rest) == 0 && (windowLog == 0 || source.pos == source.size))
                precondition(ZSTD_compressStream2(context, &target, &source, ZSTD_e_end) == 0)
            }
        }
        output.removeLast(output.count - target.pos)
        return output
    }
}

/// A gzip member that is being written.
struct GzipStream: ~Copyable {
    private let stream: UnsafeMutablePointer<z_stream>
    private var output: [UInt8] = []

    init(level: Int32) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // Window bits plus 16 select the gzip wrapper.
        let result = deflateInit2_(
            stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "deflateInit2 failed")
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    mutating func write(_ data: [UInt8]) {
        run(data, Z_NO_FLUSH)
    }

    consuming func finish() -> [UInt8] {
        run([], Z_FINISH)
        return output
    }

    private mutating func run(_ data: [UInt8], _ flush: Int32) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        data.withUnsafeBytes { bytes in
            // zlib only reads through `next_in`.
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = UInt32(bytes.count)
            repeat {
                let room = buffer.count
                let left = buffer.withUnsafeMutableBytes { out -> Int in
                    stream.pointee.next_out = out.baseAddress?.assumingMemoryBound(to: UInt8.self)
                    stream.pointee.avail_out = UInt32(room)
                    deflate(stream, flush)
                    return Int(stream.pointee.avail_out)
                }
                output += buffer[..<(room - left)]
            } while stream.pointee.avail_out == 0
        }
    }
}
