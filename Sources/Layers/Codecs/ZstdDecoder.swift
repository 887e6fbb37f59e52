import Base
import CZstd

/// A decoder of Zstandard frames that uses libzstd. It skips skippable frames.
final class ZstdDecoder {
    private let context: OpaquePointer
    private var finished = false

    /// Creates a decoder; `nil` if the library cannot allocate a context.
    ///
    /// - Parameter maximumWindowLog: the largest accepted window, as an exponent of two.
    init?(maximumWindowLog: Int) {
        guard let context = ZSTD_createDCtx() else { return nil }
        self.context = context
        // A value outside the library's range is clamped to it, never ignored.
        let bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax)
        let limit = min(max(Int32(clamping: maximumWindowLog), bounds.lowerBound), bounds.upperBound)
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, limit)
    }

    deinit {
        ZSTD_freeDCtx(context)
    }

    func reset() {
        ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
        finished = false
    }

    /// Decodes as much of `input` as fits into `output`.
    ///
    /// - Parameter stopsAtFrame: true to return at the end of a frame even if input is left.
    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, stopsAtFrame: Bool = false
    ) throws(CodecError) -> (consumed: Int, produced: Int, finished: Bool) {
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        while target.pos < target.size {
            if finished, source.pos == source.size { break }
            let before = (source.pos, target.pos)
            let result = ZSTD_decompressStream(context, &target, &source)
            guard ZSTD_isError(result) == 0 else { throw Self.error(result) }
            finished = result == 0
            if finished, stopsAtFrame { break }
            if source.pos == before.0, target.pos == before.1 { break }
        }
        return (source.pos, target.pos, finished)
    }

    private static func error(_ result: Int) -> CodecError {
        let reason = String(cString: ZSTD_getErrorName(result))
        switch ZSTD_getErrorCode(result) {
        case ZSTD_error_frameParameter_windowTooLarge, ZSTD_error_dictionary_wrong,
            ZSTD_error_frameParameter_unsupported, ZSTD_error_version_unsupported:
            return CodecError(.unsupported, "zstd data is not supported: \(reason)")
        case ZSTD_error_memory_allocation:
            return CodecError(.outOfMemory, "no memory for a zstd window")
        default:
            return CodecError(.corrupt, "zstd data is corrupt: \(reason)")
        }
    }
}
